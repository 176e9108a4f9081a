// Masks, references, prompt help, recipes, settings.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Project } from '../../src/api';
import { beginWithSample, instruct, openProjectId, painted, picture, pixels, studio, turns } from './studio';

const button = (name: string | RegExp) => ['button', { name }] as const;

test('a mask: what is outside stays as it is, bit for bit', () => studio(async ({ page, server }) => {
  await beginWithSample(page);
  await page.getByRole(...button('Mask: where it may change')).click();
  const layer = page.getByRole('application', { name: /^Mask/ });
  const box = (await layer.boundingBox())!;
  await page.getByRole('slider', { name: /Size/ }).fill('20');
  await page.getByRole('slider', { name: /Feather/ }).fill('4');
  await page.mouse.move(box.x + box.width * 0.42, box.y + box.height * 0.7);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.55, box.y + box.height * 0.62, { steps: 8 });
  await page.mouse.up();
  await picture(page, 'mask');
  await page.getByRole(...button('Done')).click();
  await page.getByText('Mask, feather 4 px').waitFor();
  await instruct(page, 'make the cat blue');
  await turns(page, 2);
  const id = await openProjectId(page);
  const [before, after, mask] = await Promise.all(['1/image', '2/image', '2/mask'].map(p => pixels(page, `/v1/projects/${id}/turns/${p}`)));
  let kept = 0, changed = 0;
  for (let i = 0; i < before.length; i += 4) {
    const same = [0, 1, 2].every(c => before[i + c] === after[i + c]);
    if (mask[i] === 0) {
      ++kept;
      assert.ok(same, `pixel ${i / 4} is outside of the mask and changed`);
    } else if (!same) ++changed;
  }
  assert.ok(kept > 8000 && changed > 100, `${kept} kept, ${changed} changed`);
  const { turns: made } = await server.ask<Project>('GET', `/v1/projects/${id}`);
  assert.equal(made[1].recipe!.mask!.feather_px, 4);

  await page.getByRole('treeitem', { name: /^A cat/ }).click();
  await page.getByRole(...button(/^Mask, feather/)).click();
  await page.getByText('Keep outside').click();
  await page.getByRole(...button('Done')).click();
  await instruct(page, 'make it night');
  await turns(page, 3);
  const free = await pixels(page, `/v1/projects/${id}/turns/3/image`);
  assert.ok(mask.some((m, i) => i % 4 === 0 && m === 0 && free[i] !== before[i]), 'without the switch all of it may change');
}));

test('a size of its own, cut to what the model takes, and back with the recipe', () => studio(async ({ page, server }) => {
  await beginWithSample(page);
  await page.getByRole(...button('Default')).click();
  const choice = page.getByRole('combobox', { name: 'Size' });
  assert.deepEqual(await choice.locator('option').allInnerTexts(), ['As the picture', '128 × 128, 1:1', 'Another…']);
  await choice.selectOption('Another…');
  await page.getByRole('spinbutton', { name: 'Width' }).fill('190');
  await page.getByRole('spinbutton', { name: 'Height' }).fill('1');
  await page.keyboard.press('Tab');
  await picture(page, 'size');
  await page.keyboard.press('Escape');
  await page.getByRole(...button('Default, 192 × 16')).click();
  await page.getByRole('spinbutton', { name: 'Height' }).fill('96');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Escape');
  await instruct(page, 'make it night');
  await turns(page, 2);
  const recipe = async (turn: number) => (await server.ask<Project>('GET', `/v1/projects/${await openProjectId(page)}`)).turns[turn].recipe!;
  assert.deepEqual([(await recipe(1)).width, (await recipe(1)).height], [192, 96]);
  await page.getByRole(...button('Default, 192 × 96')).click();
  await choice.selectOption('As the picture');
  await page.keyboard.press('Escape');
  await page.getByRole(...button('Default')).waitFor();
  await page.getByRole(...button('Use again')).click();
  await page.getByRole(...button('Default, 192 × 96')).waitFor();
}));

test('a mask by keys, taken back, inverted', () => studio(async ({ page }) => {
  await beginWithSample(page);
  await page.getByRole(...button('Mask: where it may change')).click();
  await page.getByRole('application', { name: /^Mask/ }).focus();
  await page.keyboard.down(' ');
  for (let i = 0; i < 5; ++i) await page.keyboard.press('ArrowRight');
  await page.keyboard.up(' ');
  const some = await painted(page);
  assert.ok(some > 100, `${some} pixels`);
  await page.getByRole(...button('Invert')).click();
  assert.ok(Math.abs((await painted(page)) + some - 128 * 128) < 400);
  await page.getByRole(...button('Take the last stroke back')).click();
  assert.equal(await painted(page), some);
  await page.keyboard.press('Escape');
  await page.getByRole('application').waitFor({ state: 'detached' });
}));

test('two references, their layout, and the edit made with them; the recipe brings them back', () => studio(async ({ page, server }) => {
  await beginWithSample(page);
  const sample = await (await fetch(`${server.url}/sample.png`)).arrayBuffer();
  await page.getByLabel('Add references').setInputFiles([
    { name: 'hat.png', mimeType: 'image/png', buffer: Buffer.from(sample) }]);
  await page.getByText('1. hat.png').waitFor();
  await page.getByRole(...button('Layout')).click();
  const layout = page.getByRole('img', { name: /Where the model sees them: the picture at column 0, row 0; reference 1 at column 0, row 8/ });
  await layout.waitFor();
  await picture(page, 'references');
  await page.keyboard.press('Escape');
  await instruct(page, 'make it night');
  await turns(page, 2);
  const id = await openProjectId(page);
  const { turns: made } = await server.ask<Project>('GET', `/v1/projects/${id}`);
  assert.equal(made[1].recipe!.references!.length, 2);
  await page.getByRole(...button('Remove reference 1')).click();
  await page.getByRole(...button('Use again')).click();
  await page.locator('.chip.picture').waitFor();
  assert.equal(await page.inputValue('#instruction'), 'make it night');
}));

test('help with the instruction: tokens, remarks, examples', () => studio(async ({ page }) => {
  await beginWithSample(page);
  await page.fill('#instruction', 'transform the background to the beach');
  await page.getByText(/T5 \d+\/48/).waitFor();
  await page.getByText(/often loses its identity/).waitFor();
  await picture(page, 'prompt-help');
  await page.getByRole(...button('Say “change”')).click();
  await page.getByRole(...button('Add what stays')).click();
  assert.equal(await page.inputValue('#instruction'), 'change the background to the beach while keeping everything else exactly the same');
  await page.fill('#instruction', 'very '.repeat(60));
  await page.getByText(/is cut off/).waitFor();
  await page.getByRole(...button('Examples and templates')).click();
  await page.getByRole(...button('turn it into pixel art')).click();
  assert.equal(await page.inputValue('#instruction'), 'turn it into pixel art');
}));

test('an exported picture opens with its recipe; a saved project opens as it was', () => studio(async ({ page }) => {
  await beginWithSample(page);
  await instruct(page, 'make it night');
  await turns(page, 2);
  const [saved] = await Promise.all([page.waitForEvent('download'), page.getByRole(...button('Export')).click()]);
  const png = readFileSync((await saved.path())!);
  await page.getByRole(...button('Projects')).click();
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Save .kontext' }).click()]);
  assert.match(file.suggestedFilename(), /\.kontext$/);
  const project = readFileSync((await file.path())!);
  await page.getByRole(...button('New project')).click();
  await page.getByText('Drop a picture, say what shall change').waitFor();
  await page.getByLabel('Choose a picture').last().setInputFiles({ name: 'again.png', mimeType: 'image/png', buffer: png });
  await page.getByRole('treeitem', { name: /^again.*Picture with a recipe/ }).waitFor();
  await page.getByRole(...button('Use again')).click();
  assert.equal(await page.inputValue('#instruction'), 'make it night');
  await page.getByRole(...button('Projects')).click();
  await page.locator('input[aria-label=Open]').setInputFiles({ name: 'The cat.kontext', mimeType: 'application/octet-stream', buffer: project });
  await page.getByRole(...button('The cat')).first().waitFor();
  await turns(page, 2);
  await page.getByRole(...button('Projects')).click();
  await page.locator('input[aria-label=Open]').setInputFiles({ name: 'bad.kontext', mimeType: 'application/octet-stream', buffer: Buffer.from('no project') });
  await page.locator('.toast.error').waitFor();
  await turns(page, 2);
}));

test('settings tell what the machine can do, and take effect', () => studio(async ({ page }) => {
  await page.getByRole(...button('Settings')).click();
  await page.getByRole('region', { name: 'What this machine can run' }).waitFor();
  assert.ok((await page.getByRole('dialog').locator('tbody tr').count()) > 0);
  await page.getByText(/≈ .* an edit/).first().waitFor();
  await picture(page, 'settings');
  await page.getByRole('dialog').getByRole('button', { name: 'Light' }).click();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'light');
  await page.getByRole('dialog').getByRole('button', { name: /^Fast/ }).click();
  await page.keyboard.press('Escape');
  await page.reload();
  await page.getByRole(...button('Fast')).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'light');
}));
