// The pictures of docs/studio.md, each staged with seeds of its own, so that a picture changes only where the studio does.
//   KONTEXT=build/kontext tools/studio_pictures.sh
import { test } from 'node:test';
import type { BrowserContextOptions, Page } from 'playwright-core';
import type { Project } from '../../src/api';
import { beginWithSample, openProjectId, picture, studio } from '../browser/studio';
import type { Bench, Server } from '../browser/studio';

const DESK: BrowserContextOptions = { viewport: { width: 1240, height: 775 }, reducedMotion: 'reduce' };
const PHONE: BrowserContextOptions = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, reducedMotion: 'reduce' };

type Step = [parent: number, prompt: string, seed: number];

async function grow(server: Server, id: string, [parent, prompt, seed]: Step, more: object = {}): Promise<void> {
  const edit = await server.ask<{ id: string }>('POST', `/v1/projects/${id}/turns/${parent}/edits`, { prompt, seed, ...more });
  for (;;) {
    const { state } = await server.ask<{ state: string }>('GET', `/v1/edits/${edit.id}`);
    if (state === 'ready') return;
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

// The sample with these turns, the last of them chosen.
async function stage({ page, server }: Bench, steps: Step[], more: object = {}): Promise<Project> {
  await press(page, 'Try the sample');
  await page.locator('.frame img').waitFor();
  const id = await openProjectId(page);
  for (const step of steps) await grow(server, id, step, more);
  await page.reload();
  await page.locator('.frame img').first().waitFor();
  return server.ask<Project>('GET', `/v1/projects/${id}`);
}

const press = (page: Page, name: string | RegExp) => page.getByRole('button', { name }).first().click();
const choose = (page: Page, name: string | RegExp) => page.getByRole('treeitem', { name }).first().click();

const TREE: Step[] = [
  [1, 'put the cat in the city', 3], [1, 'put the cat on the beach', 4], [3, 'make the cat surprised', 5], [3, 'make it night', 6], [2, 'make it night', 11],
];

test('a tree, and its turns compared', () => studio(async bench => {
  const { page } = bench;
  await stage(bench, TREE);
  await choose(page, /^put the cat in the city/);
  await press(page, 'Slider');
  await picture(page, 'studio');
  await press(page, 'Difference');
  await page.getByText(/% of the pixels/).waitFor();
  await picture(page, 'studio-difference', page.locator('.stage'));
  await press(page, 'Compare others with this');
  await choose(page, /^put the cat on the beach/);
  await press(page, 'Side by side');
  await press(page, 'Dismiss');
  await picture(page, 'studio-compare');
}, DESK));

test('variants, one of them to keep', () => studio(async bench => {
  const { page } = bench;
  await stage(bench, [1, 2, 3, 4].map((seed): Step => [1, 'put the cat on the beach', seed]));
  await choose(page, /^put the cat on the beach/);
  await press(page, 'Variant 3 of 4');
  await page.getByRole('button', { name: 'Variant 3 of 4', pressed: true }).waitFor();
  await picture(page, 'studio-variants');
}, DESK));

test('light, with remarks on the instruction; settings', () => studio(async bench => {
  const { page } = bench;
  await stage(bench, TREE);
  await choose(page, /^make the cat surprised/);
  await page.fill('#instruction', 'transform the background');
  await page.getByText(/often loses its identity/).waitFor();
  await picture(page, 'studio-light');
  await press(page, 'Settings');
  await page.getByText(/≈ .* an edit/).first().waitFor();
  await picture(page, 'studio-settings', page.getByRole('dialog'));
}, { ...DESK, colorScheme: 'light' }));

async function paint(page: Page, points: [number, number][]): Promise<void> {
  const box = (await page.locator('.frame').boundingBox())!;
  const at = ([x, y]: [number, number]) => [box.x + box.width * x, box.y + box.height * y] as const;
  await page.mouse.move(...at(points[0]));
  await page.mouse.down();
  for (const point of points.slice(1)) await page.mouse.move(...at(point), { steps: 8 });
  await page.mouse.up();
}

test('a mask', () => studio(async bench => {
  const { page } = bench;
  await stage(bench, []);
  await press(page, 'Mask: where it may change');
  await page.getByRole('slider', { name: /Size/ }).fill('24');
  await page.getByRole('slider', { name: /Feather/ }).fill('4');
  await paint(page, [[0.42, 0.56], [0.58, 0.56], [0.44, 0.66], [0.56, 0.72], [0.44, 0.8], [0.58, 0.84]]);
  await page.fill('#instruction', 'make the cat blue');
  await picture(page, 'studio-mask');
}, DESK));

test('a hundred turns', () => studio(async bench => {
  const { page } = bench;
  const words = ['make it night', 'put the cat on the beach', 'make the cat blue', 'put the cat in the city', 'make the cat surprised', 'make the cat red', 'turn it into pixel art'];
  const parents = [1, 1, 2, 2, 4, 1, 3, 6, 6, 3];
  const steps = [...Array(99).keys()].map((i): Step => [Math.min(i + 1, 10 * Math.floor(i / 10 / 3) + parents[i % 10]), words[i % 7], i + 1]);
  await stage(bench, steps, { steps: 8 });
  await page.locator('.turn.chosen').focus();
  await page.keyboard.press('Home');
  for (let i = 0; i < 24; ++i) await page.keyboard.press('ArrowDown');
  await picture(page, 'studio-hundred', page.locator('.tree-panel'));
}, DESK));

test('a reviewer\'s page', () => studio(async bench => {
  const { page, server } = bench;
  await beginWithSample(page);
  const id = await openProjectId(page);
  for (const [prompt, seed] of [['put the cat in the city', 3], ['make it night', 12]] as const)
    await server.ask('POST', `/v1/projects/${id}/turns/1/edits`, { prompt, seed });
  await page.goto(`${server.url}/review`);
  await page.getByAltText('Result 1: make it night').waitFor();
  await picture(page, 'studio-review');
}, DESK, ['--review']));

test('a phone: compared, enlarged under the brush', () => studio(async bench => {
  const { page } = bench;
  await stage(bench, [[1, 'make it night', 12]]);
  await press(page, /^Edits/);
  await choose(page, /^make it night/);
  await press(page, 'Slider');
  await picture(page, 'studio-phone');
  await press(page, 'Mask: where it may change');
  await page.evaluate(() => document.body.focus());
  await page.keyboard.press('+');
  await page.keyboard.press('+');
  await paint(page, [[0.42, 0.66], [0.58, 0.66]]);
  await picture(page, 'studio-phone-mask');
}, PHONE));
