// npm @stable-canvas/comfyui-client against this server, as its README uses it. Node has no
// WebSocket before 22: npm ws.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import zlib from "node:zlib";

// The packages are beside the test environment, not beside this file.
const require = createRequire(path.join(process.env.CLIENTS_NODE, "package.json"));
const { Client, Workflow } = require("@stable-canvas/comfyui-client");
const { WebSocket } = require("ws");

let server, folder, host, client;

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "kontext-comfyui-"));
  server = spawn(process.env.KONTEXT, ["serve", "--port", "0", "--folder", folder], {
    env: { ...process.env, KONTEXT_MODEL: path.join(process.env.KONTEXT_SOURCE, "models/mini") },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const [line] = await once(createInterface(server.stdout), "line");
  host = /http:\/\/(\S+)/.exec(line)[1];
  client = new Client({ api_host: host, clientId: "me", WebSocket, fetch });
  assert.equal(await client.connect(), true);
});

after(async () => {
  client.close();
  server.kill("SIGTERM");
  await once(server, "exit");
  await rm(folder, { recursive: true });
});

// A 128 x 128 PNG that goes from black to red and green.
function png() {
  const chunk = (kind, body) => {
    const data = Buffer.concat([Buffer.from(kind), body]);
    const out = Buffer.alloc(8 + data.length);
    out.writeUInt32BE(body.length);
    data.copy(out, 4);
    out.writeUInt32BE(crc(data), 4 + data.length);
    return out;
  };
  const rows = Buffer.alloc(128 * 385);
  for (let y = 0; y < 128; ++y)
    for (let x = 0; x < 128; ++x) rows.set([x * 2, y * 2, 128], y * 385 + 1 + x * 3);
  const header = Buffer.from([0, 0, 0, 128, 0, 0, 0, 128, 8, 2, 0, 0, 0]);
  const signature = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
  return Buffer.concat([
    signature, chunk("IHDR", header), chunk("IDAT", zlib.deflateSync(rows)), chunk("IEND", Buffer.alloc(0)),
  ]);
}

function crc(data) {
  let c = 0xffffffff;
  for (const byte of data) {
    c ^= byte;
    for (let k = 0; k < 8; ++k) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  }
  return (c ^ 0xffffffff) >>> 0;
}

async function upload() {
  const form = new FormData();
  form.append("image", new Blob([png()], { type: "image/png" }), "in.png");
  form.append("overwrite", "true");
  const answer = await client.fetchApi("/upload/image", { method: "POST", body: form });
  return (await answer.json()).name;
}

// The Kontext graph, by the client's own builder.
async function kontext(steps = 12) {
  const name = await upload();
  const workflow = new Workflow();
  const {
    UNETLoader, DualCLIPLoader, VAELoader, LoadImage, FluxKontextImageScale, VAEEncode, CLIPTextEncode, ReferenceLatent, FluxGuidance,
    ConditioningZeroOut, KSampler, VAEDecode, SaveImage,
  } = workflow.classes;
  const [model] = UNETLoader({ unet_name: "flux1-dev-kontext_fp8_scaled.safetensors", weight_dtype: "default" });
  const [clip] = DualCLIPLoader({ clip_name1: "clip_l.safetensors", clip_name2: "t5xxl_fp8_e4m3fn_scaled.safetensors", type: "flux", device: "default" });
  const [vae] = VAELoader({ vae_name: "ae.safetensors" });
  const [loaded] = LoadImage({ image: name });
  const [image] = FluxKontextImageScale({ image: loaded });
  const [latent] = VAEEncode({ pixels: image, vae });
  const [words] = CLIPTextEncode({ text: "make it night", clip });
  const [reference] = ReferenceLatent({ conditioning: words, latent });
  const [positive] = FluxGuidance({ conditioning: reference, guidance: 2.5 });
  const [negative] = ConditioningZeroOut({ conditioning: words });
  const [samples] = KSampler({
    model, positive, negative, latent_image: latent, seed: 7, steps, cfg: 1, sampler_name: "euler", scheduler: "simple", denoise: 1,
  });
  const [drawn] = VAEDecode({ samples, vae });
  SaveImage({ images: drawn, filename_prefix: "ComfyUI" });
  return workflow;
}

test("the Kontext graph over /ws: progress, previews, the picture", async () => {
  const workflow = await kontext(30);
  const steps = [];
  const previews = [];
  client.on("b_preview", (blob) => previews.push(blob));
  const invoked = workflow.instance(client, { progress: (p) => steps.push(p.value) });
  await invoked.enqueue();
  const result = await invoked.wait();
  assert.ok(steps.length > 0 && steps.every((s, i) => i === 0 || s >= steps[i - 1]));
  assert.ok(previews.length > 0 && previews.every((b) => b.type === "image/png"));
  const saved = result.images.filter((i) => i.type === "url");
  assert.equal(saved.length, 1);
  const picture = Buffer.from(await (await fetch(saved[0].data)).arrayBuffer());
  assert.equal(picture.subarray(1, 4).toString(), "PNG");
});

test("the same by polling", async () => {
  const workflow = await kontext();
  const polled = await client.enqueue_polling(workflow.workflow().prompt, { polling_ms: 50 });
  assert.equal(polled.images.length, 1);
});

test("a running prompt is interrupted, a waiting one taken back", async () => {
  const workflow = await kontext(500);
  const invoked = workflow.instance(client);
  await invoked.enqueue();
  while (!(await invoked.query()).running) await new Promise((done) => setTimeout(done, 20));
  const waiting = await client._enqueue_prompt(workflow.workflow().prompt);
  assert.equal((await client.getPromptStatus(waiting.prompt_id)).pending, true);
  await client.deleteItem("queue", waiting.prompt_id);
  assert.equal((await client.getPromptStatus(waiting.prompt_id)).pending, false);
  const ended = assert.rejects(invoked.wait());
  await invoked.interrupt();
  await ended;
});

test("lists, history and mistakes", async () => {
  assert.deepEqual(await client.getSamplers(), ["euler"]);
  assert.deepEqual(await client.getSchedulers(), ["simple"]);
  assert.ok((await client.getVAEs()).includes("ae.safetensors"));
  assert.deepEqual([await client.getEmbeddings(), await client.getExtensions()], [[], []]);
  assert.ok((await client.getSystemStats()).system.ram_total > 0);
  assert.ok((await client.getHistory()).History.length > 0);
  await client.clearItems("history");
  assert.equal((await client.getHistory()).History.length, 0);
  await client.free({ unload_models: true });
  await assert.rejects(client.enqueue_polling({ 1: { class_type: "LoraLoader", inputs: {} } }), /LoraLoader|Enqueue|400/);
});
