// Lasso and rectangle: what they add, take away and leave to be undone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Locator, Page } from 'playwright-core';
import type { Project } from '../../src/api';
import { PHONE, axe, beginWithSample, beginWithSampleOnPhone, fingers, instruct, openProjectId, painted, picture, pixels, studio, turns } from './studio';

const ALL = 128 * 128;  // pixels of the sample
const DIAMOND: [number, number][] = [[0.5, 0.2], [0.8, 0.5], [0.5, 0.8], [0.2, 0.5]];  // in parts of the picture

async function openMask(page: Page): Promise<Locator> {
  await page.getByRole('button', { name: 'Mask: where it may change' }).click();
  return page.getByRole('application', { name: /^Mask/ });
}

async function drag(page: Page, layer: Locator, ...way: [number, number][]): Promise<void> {
  const box = (await layer.boundingBox())!;
  const at = ([x, y]: [number, number]) => [box.x + box.width * x, box.y + box.height * y] as const;
  await page.mouse.move(...at(way[0]));
  await page.mouse.down();
  for (const to of way.slice(1)) await page.mouse.move(...at(to), { steps: 6 });
}

const near = async (page: Page, share: number, what: string) => {
  const pixels = await painted(page);
  assert.ok(Math.abs(pixels / ALL - share) < 0.02, `${what}: ${pixels} pixels are ${(pixels / ALL).toFixed(3)} of it, not ${share}`);
};

test('lasso and rectangle add, with Alt or the eraser take away, one step to undo each', () => studio(async ({ page, server }) => {
  await beginWithSample(page);
  const layer = await openMask(page);
  const undo = page.getByRole('button', { name: 'Take the last stroke back' });
  await page.getByRole('button', { name: 'Rectangle' }).click();
  await drag(page, layer, [0.6, 0.75], [0.1, 0.25]);
  await picture(page, 'mask-rectangle');
  assert.equal(await painted(page), 0, 'nothing before it is let go');
  await page.mouse.up();
  await near(page, 0.25, 'a rectangle');
  await page.keyboard.down('Alt');
  await drag(page, layer, [0.1, 0.25], [0.35, 0.75]);
  await page.mouse.up();
  await page.keyboard.up('Alt');
  await near(page, 0.125, 'half of it taken away with Alt');
  await undo.click();
  await near(page, 0.25, 'and taken back');
  await drag(page, layer, [0.3, 0.3]);
  await page.mouse.up();
  await undo.click();
  assert.equal(await painted(page), 0, 'a press without a way was no step');
  assert.ok(await undo.isDisabled());

  await page.getByRole('button', { name: 'Lasso' }).click();
  await drag(page, layer, ...DIAMOND);
  await picture(page, 'mask-lasso');
  await page.mouse.up();
  await near(page, 0.18, 'a diamond, closed where it was let go');
  await page.getByRole('button', { name: 'Erase' }).click();
  await drag(page, layer, [0.5, 0], [1, 0], [1, 1], [0.5, 1]);
  await picture(page, 'mask-lasso-erase');
  await page.mouse.up();
  await near(page, 0.09, 'its right half erased');
  await axe(page, 'mask, erasing by lasso');
  await page.getByRole('slider', { name: /Feather/ }).fill('2');
  await page.getByRole('button', { name: 'Done' }).click();
  await instruct(page, 'make the cat blue');
  await turns(page, 2);
  const id = await openProjectId(page);
  const { turns: made } = await server.ask<Project>('GET', `/v1/projects/${id}`);
  assert.equal(made[1].recipe!.mask!.feather_px, 2);
  const [before, after] = await Promise.all([1, 2].map(turn => pixels(page, `/v1/projects/${id}/turns/${turn}/image`)));
  for (let y = 0; y < 128; ++y)
    for (let x = 70; x < 128; ++x)
      assert.equal(after[4 * (128 * y + x)], before[4 * (128 * y + x)], `${x}, ${y} is outside of the mask`);
}));

test('in a lasso the space key still paints with the brush, and Escape leaves nothing half-drawn', () => studio(async ({ page }) => {
  await beginWithSample(page);
  const layer = await openMask(page);
  await page.getByRole('button', { name: 'Lasso' }).click();
  await layer.focus();
  await page.keyboard.down(' ');
  for (let i = 0; i < 5; ++i) await page.keyboard.press('ArrowRight');
  await page.keyboard.up(' ');
  const some = await painted(page);
  assert.ok(some > 100, `${some} pixels`);
  await drag(page, layer, ...DIAMOND);
  await page.keyboard.press('Escape');
  await layer.waitFor({ state: 'detached' });
  await page.mouse.up();
  await openMask(page);
  assert.equal(await painted(page), some);
}));

test('a phone: a lasso by one finger, none by two; the tools are two rows', () => studio(async ({ page }) => {
  await beginWithSampleOnPhone(page);
  await page.getByRole('button', { name: 'Mask: where it may change' }).tap();
  await page.getByRole('button', { name: 'Lasso' }).tap();
  const touch = await fingers(page);
  const box = (await page.locator('.frame').boundingBox())!;
  const way = DIAMOND.flatMap(([x, y], i): [number, number][] => {
    const [u, v] = DIAMOND[(i + 1) % 4];
    return [0, 0.25, 0.5, 0.75].map(t => [box.x + box.width * (x + (u - x) * t), box.y + box.height * (y + (v - y) * t)]);
  });
  await touch('touchStart', way[0]);
  for (const to of way) await touch('touchMove', to);
  await picture(page, 'phone-lasso');
  await touch('touchEnd');
  await near(page, 0.18, 'a diamond by finger');
  const [x, y] = way[0];
  await touch('touchStart', [x, y]);
  for (let i = 1; i <= 5; ++i) await touch('touchMove', [x + 10 * i, y + 10 * i]);
  await touch('touchStart', [x + 50, y + 50], [x - 50, y]);
  await touch('touchMove', [x + 60, y + 60], [x - 60, y]);
  await touch('touchEnd');
  await near(page, 0.18, 'what the first of two fingers began is dropped, what was there is not');
  const rows = await page.locator('.mask-tools button, .mask-tools label').evaluateAll(all =>
    new Set(all.map(e => { const r = e.getBoundingClientRect(); return Math.round((r.top + r.bottom) / 2 / 8); })).size);
  assert.equal(rows, 2);
}, PHONE));
