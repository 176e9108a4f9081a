// References: from a turn, in another order, left out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import type { Model, Project } from '../../src/api';
import type { Server } from './studio';
import { PHONE, axe, beginWithSample, beginWithSampleOnPhone, fingers, instruct, openProjectId, picture, studio, turns } from './studio';

const names = (page: Page) => page.locator('.chip-use span').allInnerTexts();

// Each of another form, so that the layout tells which is which.
async function attach(page: Page, server: Server, files: [name: string, width: number, height: number][]): Promise<void> {
  const buffers = await page.evaluate(async ([url, files]) => {
    const sample = await createImageBitmap(await (await fetch(url)).blob());
    return Promise.all(files.map(async ([, width, height]) => {
      const canvas = new OffscreenCanvas(width, height);
      canvas.getContext('2d')!.drawImage(sample, 0, 0, width, height);
      return [...new Uint8Array(await (await canvas.convertToBlob({ type: 'image/png' })).arrayBuffer())];
    }));
  }, [`${server.url}/sample.png`, files] as const);
  await page.getByLabel('Add references').setInputFiles(files.map(([name], i) => ({ name, mimeType: 'image/png', buffer: Buffer.from(buffers[i]) })));
  await page.getByText(`${files.length}. ${files[files.length - 1][0]}`).waitFor();
}

// The sizes of the references of the last edit, the picture that was edited not among them.
async function sent(page: Page, server: Server): Promise<number[][]> {
  const { turns } = await server.ask<Project>('GET', `/v1/projects/${await openProjectId(page)}`);
  return turns[turns.length - 1].recipe!.references!.slice(1).map(r => [r.width!, r.height!]);
}

test('a turn as a reference of the edit of another', () => studio(async ({ page, server }) => {
  await beginWithSample(page);
  await instruct(page, 'make it night');
  await turns(page, 2);
  const use = page.getByRole('button', { name: 'Use as reference' });
  await page.getByRole('button', { name: 'Compare others with this' }).focus();
  await page.keyboard.press('Tab');
  assert.ok(await use.evaluate(e => e === document.activeElement), 'it is reached by the keyboard');
  await page.keyboard.press('Enter');
  await page.getByText('“make it night” is a reference of the next edit').first().waitFor();
  assert.deepEqual(await names(page), ['1. make it night']);
  await page.getByRole('treeitem', { name: /^A cat/ }).click();
  await picture(page, 'reference-from-turn');
  await axe(page, 'a turn as a reference');
  await instruct(page, 'put the cat in the city');
  await turns(page, 3);
  const { turns: made } = await server.ask<Project>('GET', `/v1/projects/${await openProjectId(page)}`);
  assert.equal(made[2].parent, 1);
  assert.equal(made[2].recipe!.references!.length, 2);

  const { limits } = await server.ask<Model>('GET', '/v1/model');
  for (let i = 2; i < limits.max_images; ++i) await use.click();
  await page.getByText(`${limits.max_images - 1}. `).waitFor();
  await use.click();
  await page.getByText(`The model takes at most ${limits.max_images - 1} further pictures`).first().waitFor();
  assert.equal((await names(page)).length, limits.max_images - 1);
}));

test('references change places by mouse and by keys, and are left out without being removed', () => studio(async ({ page, server }) => {
  await beginWithSample(page);
  await attach(page, server, [['wide.png', 128, 64], ['tall.png', 64, 128], ['even.png', 96, 96]]);
  const chip = (name: string) => page.getByRole('button', { name: new RegExp(`^Reference \\d\\. ${name}`) });
  const from = (await chip('even.png').boundingBox())!, to = (await chip('wide.png').boundingBox())!;
  await page.mouse.move(from.x + from.width / 2, from.y + from.height / 2);
  await page.mouse.down();
  await page.mouse.move(to.x + 8, to.y + to.height / 2, { steps: 10 });
  await picture(page, 'references-drag');
  await page.mouse.up();
  assert.deepEqual(await names(page), ['1. even.png', '2. wide.png', '3. tall.png']);
  assert.equal(await chip('even.png').getAttribute('aria-pressed'), 'true', 'a drag is no press');

  await page.getByRole('button', { name: 'Move reference 3 forward' }).press('Enter');
  assert.deepEqual(await names(page), ['1. even.png', '2. tall.png', '3. wide.png']);
  await page.getByText('tall.png is reference 2 now.').waitFor({ state: 'attached' });
  const focused = () => page.evaluate(() => document.activeElement!.getAttribute('aria-label'));
  await page.waitForFunction(() => document.activeElement!.getAttribute('aria-label') === 'Move reference 2 forward');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.activeElement!.getAttribute('aria-label') === 'Reference 1. tall.png');
  assert.deepEqual(await names(page), ['1. tall.png', '2. even.png', '3. wide.png']);
  await page.keyboard.press(' ');
  assert.equal(await chip('tall.png').getAttribute('aria-pressed'), 'false', `${await focused()} is left out`);
  await page.getByRole('button', { name: 'Layout' }).click();
  const layout = page.getByRole('img', { name: /Where the model sees them/ });
  assert.match((await layout.getAttribute('aria-label'))!, /the picture at .*; reference 2 at [^;]*; reference 3 at [^;]*$/);
  await picture(page, 'references-off');
  await axe(page, 'a reference left out');
  await page.keyboard.press('Escape');
  await instruct(page, 'make it night');
  await turns(page, 2);
  const [even, wide] = await sent(page, server);
  assert.ok(even[0] === even[1] && wide[0] > wide[1], `${even}; ${wide}`);
  await chip('tall.png').click();
  await instruct(page, 'make the cat blue');
  await turns(page, 3);
  const three = await sent(page, server);
  assert.equal(three.length, 3);
  assert.ok(three[0][0] < three[0][1], `${three[0]} is the tall one`);
}));

test('a phone: a reference is dragged by finger and left out by a tap', () => studio(async ({ page, server }) => {
  await beginWithSampleOnPhone(page);
  await attach(page, server, [['a hat.png', 128, 64], ['a scarf.png', 64, 128], ['a bow.png', 96, 96]]);
  const touch = await fingers(page);
  const chips = page.locator('.chip-use');
  const middle = async (i: number): Promise<[number, number]> => {
    const box = (await chips.nth(i).boundingBox())!;
    return [box.x + box.width / 2, box.y + box.height / 2];
  };
  const [x, y] = await middle(0), [u, v] = await middle(1);
  await touch('touchStart', [x, y]);
  for (let i = 1; i <= 8; ++i) await touch('touchMove', [x + ((u + 40 - x) * i) / 8, y + ((v - y) * i) / 8]);
  await page.waitForTimeout(200);  // held still: after a finger that was flung away Chromium takes the next tap for the end of the fling
  await touch('touchEnd');
  assert.deepEqual(await names(page), ['1. a scarf.png', '2. a hat.png', '3. a bow.png']);
  await chips.nth(2).tap();
  assert.equal(await chips.nth(2).getAttribute('aria-pressed'), 'false');
  await picture(page, 'phone-references');
  await axe(page, 'references on a phone');
}, PHONE));
