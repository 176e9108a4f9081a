// The main paths: edit, compare, branch, variants, rename, delete with undo, cancel, crash and resume.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Edit, Project } from '../../src/api';
import { axe, beginWithSample, instruct, openProjectId, picture, pixels, studio, turns } from './studio';

const item = (name: string | RegExp) => ({ name });

test('a picture, an instruction, previews, the edit, and what changed', () => studio(async ({ page }) => {
  await picture(page, 'welcome');
  await beginWithSample(page);
  await instruct(page, 'put the cat in the city');
  await page.getByAltText('Preview of the edit as it is made').waitFor();
  await page.getByText(/Step \d+ of 28/).waitFor();
  await turns(page, 2);
  assert.equal(await page.getByRole('treeitem', item(/put the cat in the city/)).getAttribute('aria-selected'), 'true');
  await page.getByRole('button', item('Slider')).click();
  const slider = page.getByRole('slider', item(/earlier picture/));
  await slider.focus();
  await slider.fill('70');
  assert.equal(await page.locator('.slider-line').evaluate(e => (e as HTMLElement).style.left), '70%');
  await picture(page, 'slider');
  await page.getByRole('button', item('Difference')).click();
  await page.getByText(/% of the pixels changed visibly/).waitFor();
  await picture(page, 'difference');
  await page.getByRole('button', item('Side by side')).click();
  await page.getByAltText('Before: A cat').waitFor();
}));

test('a picture is dropped, another is pasted', () => studio(async ({ page }) => {
  const held = (name: string) => page.evaluateHandle(async called => {
    const data = new DataTransfer();
    data.items.add(new File([await (await fetch('/sample.png')).blob()], called, { type: 'image/png' }));
    return data;
  }, name);
  const dropped = await held('dropped.png');
  await page.dispatchEvent('.stage', 'dragover', { dataTransfer: dropped });
  await page.getByText('Drop to begin with this picture').waitFor();
  await page.dispatchEvent('.stage', 'drop', { dataTransfer: dropped });
  await page.getByRole('treeitem', item(/^dropped/)).waitFor();
  await page.getByText('Drop to begin with this picture').waitFor({ state: 'detached' });
  await (await held('pasted.png')).evaluate(data => document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true })));
  await page.getByRole('treeitem', item(/^pasted/)).waitFor();
  await turns(page, 2);
}));

test('an edit that is asked for before the list of edits has come is followed', () => studio(async ({ page }) => {
  await beginWithSample(page);
  let late: (() => void) | undefined;
  await page.route(/\/v1\/edits\?/, async route => {
    const answer = await route.fetch();
    await new Promise<void>(resolve => (late = resolve));
    await route.fulfill({ response: answer });
  });
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));  // whoever comes back to the page: it looks again
  while (!late) await page.waitForTimeout(20);
  await longEdit(page, 1000, 1);
  await page.getByText(/Step \d+ of 1000/).waitFor();
  late();
  await page.waitForTimeout(300);
  await page.getByText(/Step \d+ of 1000/).waitFor({ timeout: 2000 });
  await page.getByRole('button', item('Cancel')).click();
  await turns(page, 1);
}));

test('branches: from an earlier turn, variants, a name, a deletion taken back', () => studio(async ({ page, server }) => {
  await beginWithSample(page);
  await instruct(page, 'make it night');
  await turns(page, 2);
  await page.getByRole('treeitem', item(/^A cat/)).click();
  await instruct(page, 'put the cat on the beach');
  await turns(page, 3);
  assert.equal(await page.getByRole('treeitem', item(/put the cat on the beach/)).getAttribute('aria-level'), '2');
  await page.getByRole('button', item('2 variants')).click();
  await turns(page, 5);
  await page.getByRole('button', item('Another seed')).click();
  await turns(page, 6);
  const id = await openProjectId(page);
  const made = (await server.ask<Project>('GET', `/v1/projects/${id}`)).turns;
  assert.deepEqual(made.map(t => t.parent), [0, 1, 1, 1, 1, 1]);
  assert.equal(new Set(made.slice(2).map(t => t.recipe!.seed)).size, 4, 'each has a seed of its own');

  await page.getByRole('treeitem', item(/make it night/)).click();
  await page.keyboard.press('F2');
  await page.getByLabel('Name of the turn').fill('moonlight');
  await page.keyboard.press('Enter');
  await page.getByRole('treeitem', item(/^moonlight/)).waitFor();
  await instruct(page, 'make the cat surprised');
  await turns(page, 7);
  await picture(page, 'tree');

  await page.getByRole('treeitem', item(/^moonlight/)).click();
  await page.keyboard.press('Delete');
  await turns(page, 5);
  await page.locator('.toast', { hasText: '“moonlight” and the 1 that follow from it deleted' }).waitFor();
  await page.getByRole('button', item('Undo')).click();
  await turns(page, 7);
  await page.getByRole('treeitem', item(/make the cat surprised/)).click();
  await page.keyboard.press('Delete');
  await turns(page, 6);
  await page.keyboard.press('Control+z');
  await turns(page, 7);
  await page.reload();
  await turns(page, 7);
}));

test('keys walk the tree and change the view', () => studio(async ({ page }) => {
  await beginWithSample(page);
  await instruct(page, 'make it night');
  await turns(page, 2);
  await page.getByRole('treeitem', item(/make it night/)).focus();
  await page.keyboard.press('ArrowLeft');
  await page.waitForFunction(() => document.activeElement?.id === 'row-t1');
  await page.keyboard.press('ArrowRight');
  await page.waitForFunction(() => document.activeElement?.id === 'row-t2');
  await page.keyboard.press('2');
  await page.getByRole('slider').waitFor();
  await page.keyboard.press('1');
  await page.keyboard.down('b');
  await page.locator('.frame img[alt="A cat"]').waitFor();
  await page.keyboard.up('b');
  await page.locator('.frame img[alt="make it night"]').waitFor();
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'instruction');
}));

async function longEdit(page: Parameters<typeof instruct>[0], steps: number, seed: number): Promise<void> {
  await page.getByRole('button', item('Default')).click();
  await page.getByRole('spinbutton', item('Steps')).fill(String(steps));
  await page.getByRole('textbox', item(/^Seed/)).fill(String(seed));
  await page.keyboard.press('Escape');
  await instruct(page, 'make it night');
}

test('cancel stops it, and the tree is as it was', () => studio(async ({ page, server }) => {
  await beginWithSample(page);
  await longEdit(page, 1000, 1);
  await page.getByText(/Step \d+ of 1000/).waitFor();
  await page.getByRole('button', item('Cancel')).click();
  await page.locator('.toast', { hasText: 'Cancelled: make it night' }).waitFor();
  await turns(page, 1);
  const [edit] = (await server.ask<{ edits: Edit[] }>('GET', '/v1/edits')).edits;
  assert.equal(edit.state, 'cancelled');
}));

test('kill -9 in the middle: the page waits, the edit goes on and ends with the same picture', () => studio(async ({ page, server, troubles }) => {
  await beginWithSample(page);
  await longEdit(page, 120, 7);
  await page.getByText(/Step \d+ of 120/).waitFor();
  await page.waitForFunction(() => Number(/Step (\d+)/.exec(document.querySelector('.job-words')?.textContent ?? '')?.[1]) > 10);
  await server.stop('SIGKILL');
  await page.getByText('The server does not answer.').waitFor();
  await picture(page, 'connection-lost');
  await server.start();
  await page.getByText(/Step \d+ of 120/).waitFor();
  const first = Number(/Step (\d+)/.exec(await page.locator('.job-words').innerText())![1]);
  await turns(page, 2);
  assert.ok(first > 10, `it went on at step ${first}, not from the beginning`);
  await page.getByText('The server does not answer.').waitFor({ state: 'detached' });
  const id = await openProjectId(page);
  const resumed = await pixels(page, `/v1/projects/${id}/turns/2/image`);
  const whole = await server.ask<Edit>('POST', `/v1/projects/${id}/turns/1/edits`, { prompt: 'make it night', steps: 120, seed: 7, mode: 'default' });
  let now = whole;
  while (!now.finished) now = await server.ask<Edit>('GET', `/v1/edits/${whole.id}`);
  assert.deepEqual(await pixels(page, now.images[0].url), resumed);
  troubles.length = 0;  // of the time without a server
}));

test('an edit that is asked for while the server is away is made once, when it is back', () => studio(async ({ page, server, troubles }) => {
  await beginWithSample(page);
  await server.stop('SIGKILL');
  await instruct(page, 'make it night');
  await page.getByText('The server does not answer.').waitFor();
  await server.start();
  await turns(page, 2);
  assert.equal((await server.ask<{ edits: Edit[] }>('GET', '/v1/edits')).edits.length, 1);
  troubles.length = 0;  // of the time without a server
}));

test('what is deleted can be removed for good', () => studio(async ({ page, server }) => {
  await beginWithSample(page);
  await instruct(page, 'make it night');
  await turns(page, 2);
  await page.getByRole('button', item('Delete')).click();
  await turns(page, 1);
  await page.getByRole('button', item('Projects')).click();
  await page.getByRole('button', item('Bring back make it night')).waitFor();
  page.on('dialog', dialog => void dialog.accept());
  await page.getByRole('button', item('Remove for good')).click();
  await page.getByRole('button', item('Remove for good')).waitFor({ state: 'detached' });
  const { deleted } = await server.ask<Project>('GET', `/v1/projects/${await openProjectId(page)}`);
  assert.deepEqual(deleted, []);
}));

test('several keys, one server: the page asks for one', async () => {
  const { mkdtempSync, rmSync, writeFileSync } = await import('node:fs');
  const folder = mkdtempSync('/tmp/kontext-keys-');
  writeFileSync(`${folder}/keys`, 'a-key-of-some-length\n');
  await studio(async ({ page, troubles }) => {
    await page.getByText('This server asks for a key').waitFor();
    await page.getByLabel('Key', { exact: true }).last().fill('a-key-of-some-length');
    await page.keyboard.press('Enter');
    await beginWithSample(page);
    await instruct(page, 'make it night');
    await turns(page, 2);
    await page.locator('.frame img[src^="blob:"]').waitFor();
    troubles.length = 0;
  }, {}, ['--keys', `${folder}/keys`]);
  rmSync(folder, { recursive: true });
});

test('any two turns are compared: one is pinned, the others are held against it', () => studio(async ({ page, server }) => {
  await beginWithSample(page);
  for (const [count, words] of [[2, 'make it night'], [3, 'turn it into pixel art']] as const) {
    await page.getByRole('treeitem', { name: /^A cat/ }).click();
    await instruct(page, words);
    await turns(page, count);
  }
  await page.getByRole('treeitem', { name: /^make it night/ }).click();
  await page.getByRole('button', { name: 'Compare others with this' }).click();
  await page.getByRole('treeitem', { name: /^make it night.*others are compared with it/ }).waitFor();
  await page.getByRole('treeitem', { name: /^turn it into pixel art/ }).click();
  await page.getByRole('slider', { name: /earlier picture/ }).waitFor();
  const shown = await page.locator('.slider img').evaluateAll(images => images.map(i => (i as HTMLImageElement).src.replace(/\?.*/, '')));
  const id = await openProjectId(page);
  assert.deepEqual(shown, [3, 2].map(turn => `${server.url}/v1/projects/${id}/turns/${turn}/image`), 'two branches, neither before the other');
  await picture(page, 'pinned');
  await axe(page, 'pinned');
  await page.getByRole('treeitem', { name: /^A cat/ }).click();
  await page.getByRole('button', { name: 'Side by side' }).click();
  await page.locator('.frame.two img[alt="Before: make it night"]').waitFor();  // the root too, which has none before it
  await page.getByRole('treeitem', { name: /^make it night/ }).click();
  await page.keyboard.press('c');
  assert.equal(await page.getByText('others are compared with it').count(), 0);
}));

test('the picture is enlarged by wheel and keys, moved, and whole again', () => studio(async ({ page }) => {
  await beginWithSample(page);
  const frame = page.locator('.frame');
  const box = (await frame.boundingBox())!;
  const eye = { x: box.x + box.width * 0.25, y: box.y + box.height * 0.3 };
  await page.mouse.move(eye.x, eye.y);
  await page.mouse.wheel(0, -600);
  await page.getByRole('button', { name: 'Show all of it' }).waitFor();
  const large = (await frame.boundingBox())!;
  const scale = large.width / box.width;
  assert.ok(scale > 2, `${scale}`);
  for (const [side, length, place] of [['x', 'width', 0.25], ['y', 'height', 0.3]] as const)
    assert.ok(Math.abs(large[side] + large[length] * place - eye[side]) < 2, `what was under the mouse is there still, ${side}`);
  await page.mouse.down();
  await page.mouse.move(eye.x + 60, eye.y + 40, { steps: 4 });
  await page.mouse.up();
  const there = (await frame.boundingBox())!;
  assert.ok(Math.abs(there.x - large.x - 60) < 2 && Math.abs(there.y - large.y - 40) < 2, 'it follows the mouse');
  await picture(page, 'enlarged');
  await page.keyboard.press('0');
  assert.ok(Math.abs((await frame.boundingBox())!.width - box.width) < 1);
  await page.keyboard.press('+');
  assert.ok(Math.abs((await frame.boundingBox())!.width - 1.5 * box.width) < 1);
  await page.getByRole('button', { name: 'Show all of it' }).click();
  assert.ok(Math.abs((await frame.boundingBox())!.width - box.width) < 1);
}));
