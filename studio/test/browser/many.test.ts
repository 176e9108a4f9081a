// Several at once: variants, edits under way, instructions said before, long trees, recipes held against each other.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Project } from '../../src/api';
import { axe, beginWithSample, instruct, openProjectId, picture, pixels, studio, turns } from './studio';

const button = (name: string | RegExp) => ['button', { name }] as const;

async function ask(page: Parameters<typeof instruct>[0], options: Record<string, string>): Promise<void> {
  if (!(await page.getByRole('group', { name: 'Options' }).isVisible())) await page.getByRole(...button(/^Default/)).click();
  for (const [name, value] of Object.entries(options)) await page.getByRole(name === 'Seed' ? 'textbox' : 'spinbutton', { name }).fill(value);
  await page.keyboard.press('Escape');
}

test('of four variants one is kept, and an undo brings the others back', () => studio(async ({ page }) => {
  await beginWithSample(page);
  await ask(page, { Variants: '4', Steps: '4' });
  await instruct(page, 'make it night');
  await turns(page, 5);
  const strip = page.getByRole('group', { name: 'Variants of make it night' });
  assert.equal(await strip.getByRole('button', { name: /^Variant/ }).count(), 4);
  await strip.getByRole('button', { name: 'Variant 2 of 4' }).click();
  await page.waitForFunction(() => location.hash.endsWith('/3'));
  await picture(page, 'variants');
  await axe(page, 'variants');
  await strip.getByRole(...button('Keep only this')).click();
  await turns(page, 2);
  await strip.waitFor({ state: 'detached' });
  await page.locator('.toast', { hasText: '3 other variants deleted' }).getByRole(...button('Undo')).click();
  await turns(page, 5);
  await ask(page, { Variants: '1' });
  await page.getByRole('treeitem', { name: /^make it night/ }).first().click();
  await instruct(page, 'put the cat in the city');
  await turns(page, 6);
  await page.getByRole('treeitem', { name: /^make it night/ }).nth(1).click();
  await strip.getByRole(...button('Keep only this')).click();
  await turns(page, 4);  // what an edit was made of stays
}));

test('what is under way is listed, and cancelled at once', () => studio(async ({ page, server }) => {
  await beginWithSample(page);
  await page.getByRole(...button('Default')).click();  // of a size that keeps the engine busy all through
  await page.getByRole('combobox', { name: 'Size' }).selectOption('Another…');
  await ask(page, { Width: '512', Height: '512', Steps: '1000' });
  for (const words of ['make it night', 'make the cat blue', 'make the cat surprised']) {
    await instruct(page, words);
    await page.getByRole('treeitem', { name: new RegExp(words) }).waitFor();
  }
  await page.getByRole(...button('3 under way')).click();
  const list = page.getByRole('group', { name: 'Edits under way' });
  await picture(page, 'under-way');
  await axe(page, 'edits under way');
  await list.getByRole(...button('Cancel make the cat blue')).click();
  await page.getByRole(...button('2 under way')).waitFor();
  await list.getByRole(...button('Cancel all')).click();
  await turns(page, 1);
  const { edits } = await server.ask<{ edits: { state: string }[] }>('GET', '/v1/edits');
  assert.deepEqual(edits.map(e => e.state), ['cancelled', 'cancelled', 'cancelled']);
}));

test('instructions said before come back by the arrow keys, after a reload too, and can be forgotten', () => studio(async ({ page }) => {
  await beginWithSample(page);
  assert.equal(await page.getByRole(...button(/^Edit/)).last().getAttribute('title'), 'Say first what shall change');
  await ask(page, { Steps: '2' });
  for (const [count, words] of ['make it night', 'make the cat blue'].entries()) {
    await instruct(page, words);
    await turns(page, count + 2);
  }
  await page.reload();
  const field = page.getByRole('textbox', { name: /^(Continue|Next)/ });
  await field.focus();
  for (const [key, words] of [['ArrowUp', 'make the cat blue'], ['ArrowUp', 'make it night'], ['ArrowUp', 'make it night'], ['ArrowDown', 'make the cat blue'], ['ArrowDown', '']]) {
    await page.keyboard.press(key);
    assert.equal(await field.inputValue(), words);
  }
  await field.fill('words of my own');
  await page.keyboard.press('ArrowUp');
  assert.equal(await field.inputValue(), 'words of my own');
  await page.getByRole(...button('Examples and templates')).click();
  await page.getByRole('group', { name: 'Examples' }).getByRole(...button('make the cat blue')).waitFor();
  await page.getByRole(...button('Forget them')).click();
  await field.fill('');
  await field.press('ArrowUp');
  assert.equal(await field.inputValue(), '');
}));

test('what is written while an edit is being sent stays', () => studio(async ({ page }) => {
  await beginWithSample(page);
  await ask(page, { Steps: '2' });
  let letGo = () => {};
  const held = new Promise<void>(resolve => (letGo = resolve));
  await page.route('**/turns/*/edits', async route => {
    await held;
    await route.continue();
  });
  await instruct(page, 'make it night');
  await page.fill('#instruction', 'make the cat blue');
  letGo();
  await turns(page, 2);
  assert.equal(await page.inputValue('#instruction'), 'make the cat blue');
}));

test('recipes are held against each other with the pictures, and a picture is copied', () => studio(async ({ page, server }) => {
  await beginWithSample(page);
  await ask(page, { Steps: '2', Seed: '7' });
  await instruct(page, 'make it night');
  await turns(page, 2);
  await ask(page, { Steps: '3', Seed: '8' });
  await instruct(page, 'make the cat blue');
  await turns(page, 3);
  const facts = page.locator('.details .facts').last();
  assert.equal(await facts.locator('del').count(), 0);
  await page.getByRole(...button('Side by side')).click();
  await page.getByText('Recipe, against “make it night”').waitFor();
  assert.deepEqual(await facts.locator('.fact', { has: page.locator('del') }).allInnerTexts(), ['Seed\n7 8', 'Steps\n2 3']);
  await picture(page, 'recipes');
  await axe(page, 'recipes held against each other');
  await page.getByRole(...button('Original')).click();
  await page.getByText('Recipe, against').waitFor({ state: 'detached' });  // a picture from elsewhere has none
  await page.getByRole(...button('Copy the picture')).click();
  await page.locator('.toast', { hasText: 'The picture is copied.' }).waitFor();
  const copied = await page.evaluate(async () => {
    const [item] = await navigator.clipboard.read();
    const bitmap = await createImageBitmap(await item.getType('image/png'), { colorSpaceConversion: 'none' });
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d')!;
    context.drawImage(bitmap, 0, 0);
    return [...context.getImageData(0, 0, bitmap.width, bitmap.height).data];
  });
  const id = await openProjectId(page);
  assert.deepEqual(copied, await pixels(page, `/v1/projects/${id}/turns/3/image`));
  assert.equal((await server.ask<Project>('GET', `/v1/projects/${id}`)).turns.length, 3);
}, { permissions: ['clipboard-read', 'clipboard-write'] }));

test('a long tree is searched by words', () => studio(async ({ page }) => {
  await beginWithSample(page);
  const field = page.getByRole('searchbox', { name: 'Find in the edits' });
  await ask(page, { Steps: '1', Variants: '9' });
  await instruct(page, 'make it night');
  await turns(page, 10);
  assert.equal(await field.count(), 0);
  await ask(page, { Variants: '2' });
  await instruct(page, 'make the cat blue');
  await turns(page, 12);
  await field.fill('BLUE');
  assert.equal(await page.getByRole('treeitem').count(), 2);
  await picture(page, 'search');
  await axe(page, 'search');
  await page.getByRole('treeitem').last().click();
  await field.fill('nothing of that');
  await page.getByText('No edit has these words.').waitFor();
  await field.fill('');
  await turns(page, 12);
  assert.equal(await page.getByRole('treeitem', { selected: true }).getAttribute('id'), 'row-t12');
  await field.fill('blue');
  await page.getByRole('treeitem', { selected: true }).press('Delete');
  await turns(page, 11);  // without a field there is no search
  assert.equal(await field.count(), 0);
}));
