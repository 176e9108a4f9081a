// A `kontext serve` of its own with the bundled model, and a page of Debian's chromium on it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core';

const KONTEXT = process.env.KONTEXT ?? '';
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
assert.ok(existsSync(KONTEXT), `KONTEXT must name the built program, it is "${KONTEXT}"`);
assert.ok(existsSync(CHROMIUM), `there is no ${CHROMIUM}: install the package chromium (tools/setup.sh checks), or name a Chromium in $CHROMIUM`);

let browser: Browser | undefined;
after(async () => browser?.close());

export class Server {
  readonly folder = mkdtempSync(join(tmpdir(), 'kontext-studio-'));
  port = 0;
  private process: ChildProcess | undefined;
  constructor(private readonly flags: string[] = []) {}

  async start(): Promise<this> {
    const process_ = spawn(KONTEXT, ['serve', '--port', String(this.port), '--folder', this.folder, ...this.flags],
      { stdio: ['ignore', 'pipe', 'ignore'], env: { ...process.env, OMP_NUM_THREADS: '1', KONTEXT_MODEL: process.env.KONTEXT_MODEL ?? '' } });
    this.process = process_;
    const line = await new Promise<string>((resolve, reject) => {
      process_.stdout!.once('data', data => resolve(String(data)));
      process_.once('exit', code => reject(new Error(`kontext serve ended with ${code}`)));
    });
    this.port = Number(/:(\d+)\s*$/.exec(line.trim())![1]);
    return this;
  }
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const ended = new Promise(resolve => this.process!.once('exit', resolve));
    this.process!.kill(signal);
    await ended;
  }
  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }
  async ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await fetch(this.url + path, { method, body: body === undefined ? undefined : JSON.stringify(body) });
    assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${answer.ok ? '' : await answer.text()}`);
    return answer.json() as Promise<T>;
  }
}

export interface Bench { server: Server; page: Page; troubles: string[] }

// Runs `work` on a fresh server and page. Whatever the page complains about, and every request to elsewhere, is a failure.
export async function studio(work: (bench: Bench) => Promise<void>, options: BrowserContextOptions = {}, flags: string[] = []): Promise<void> {
  browser ??= await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const server = await new Server(flags).start();
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: 'dark', acceptDownloads: true, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const troubles: string[] = [];
  page.on('pageerror', e => troubles.push(e.message));
  page.on('console', m => m.type() === 'error' && !/Failed to load resource/.test(m.text()) && troubles.push(m.text()));
  page.on('request', r => !/^(http:\/\/127\.0\.0\.1|data:|blob:)/.test(r.url()) && troubles.push(`went elsewhere: ${r.url()}`));
  try {
    await page.goto(server.url);
    await work({ server, page, troubles });
    assert.deepEqual(troubles, []);
  } finally {
    await context.close();
    await server.stop().catch(() => undefined);
    server.remove();
  }
}

export async function beginWithSample(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Try the sample' }).click();
  await page.getByRole('treeitem').waitFor();
}

export async function instruct(page: Page, words: string): Promise<void> {
  await page.fill('#instruction', words);
  await page.keyboard.press('Enter');
}

// Until no edit runs and the tree has that many turns.
export async function turns(page: Page, count: number): Promise<void> {
  await page.waitForFunction(n => document.querySelectorAll('.turn').length === n && !document.querySelector('.turn.pending'), count);
}

// The folder of screenshots, if they are wanted: STUDIO_PICTURES. Of the page or a part of it.
export async function picture(page: Page, name: string, part: Page | Locator = page): Promise<void> {
  const folder = process.env.STUDIO_PICTURES;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.waitForTimeout(350);
  await part.screenshot({ path: join(folder, `${name}.png`) });
}

export async function pixels(page: Page, path: string): Promise<number[]> {
  return page.evaluate(async url => {
    const bitmap = await createImageBitmap(await (await fetch(url)).blob(), { colorSpaceConversion: 'none' });
    const canvas = document.createElement('canvas');
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    const context = canvas.getContext('2d')!;
    context.drawImage(bitmap, 0, 0);
    return [...context.getImageData(0, 0, bitmap.width, bitmap.height).data];
  }, path);
}

// Opaque pixels of the mask.
export async function painted(page: Page): Promise<number> {
  return page.locator('.mask-canvas').evaluate(c => {
    const canvas = c as HTMLCanvasElement;
    const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
    return data.filter((v, i) => i % 4 === 3 && v > 127).length;
  });
}

// Fingers as Chromium's own input sees them: all that are down, where they are.
export type Touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', ...points: [number, number][]) => Promise<unknown>;
export async function fingers(page: Page): Promise<Touch> {
  const hand = await page.context().newCDPSession(page);
  return (type, ...points) => hand.send('Input.dispatchTouchEvent', { type, touchPoints: points.map(([x, y], id) => ({ x, y, id })) });
}

export const PHONE: BrowserContextOptions = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

export async function beginWithSampleOnPhone(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Try the sample' }).tap();
  await page.locator('.frame img').waitFor();
}

export async function openProjectId(page: Page): Promise<string> {
  return page.evaluate(() => /#\/p\/([^/]+)/.exec(location.hash)![1]);
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// axe is evaluated, not added as a script: the page's policy allows none.
export async function axe(page: Page, where: string): Promise<void> {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { violations } = await (window as unknown as { axe: { run: () => Promise<{ violations: { id: string; help: string; nodes: { html: string; failureSummary: string }[] }[] }> } }).axe.run();
    return violations.map(v => `${v.id}: ${v.help}\n${v.nodes.map(n => `    ${n.html.slice(0, 160)}\n    ${n.failureSummary}`).join('\n')}`);
  });
  assert.deepEqual(found, [], where);
}
