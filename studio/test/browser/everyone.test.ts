// Screen readers (axe), both colours, a phone, long trees.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PHONE, axe, beginWithSample, beginWithSampleOnPhone, fingers, instruct, painted, picture, studio, turns } from './studio';

for (const colorScheme of ['dark', 'light'] as const)
  test(`axe finds nothing, ${colorScheme}`, () => studio(async ({ page }) => {
    await page.getByRole('button', { name: 'Try the sample' }).waitFor();
    await axe(page, 'welcome');
    await beginWithSample(page);
    await instruct(page, 'put the cat in the city');
    await turns(page, 2);
    await instruct(page, 'make the cat blue');
    await turns(page, 3);
    await page.fill('#instruction', 'transform the background');
    await page.getByText(/often loses its identity/).waitFor();
    await axe(page, 'a turn, with remarks');
    await picture(page, `studio-${colorScheme}`);
    for (const view of ['Slider', 'Side by side', 'Difference']) {
      await page.getByRole('button', { name: view }).click();
      await axe(page, view);
    }
    for (const name of ['Examples and templates', 'Default', 'Projects']) {
      await page.getByRole('button', { name }).click();
      await page.locator('.popover').evaluate(e => Promise.all(e.getAnimations().map(a => a.finished)));
      await picture(page, `${name.split(' ')[0].toLowerCase()}-${colorScheme}`);
      await axe(page, name);
      await page.keyboard.press('Escape');
    }
    await page.getByRole('button', { name: 'Mask: where it may change' }).click();
    await axe(page, 'mask');
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Settings' }).click();
    await page.getByRole('region', { name: 'What this machine can run' }).waitFor();
    await axe(page, 'settings');
  }, { colorScheme, reducedMotion: 'reduce' }));

test('a phone of 390 pixels: nothing is cut off, all of it works by thumb', () => studio(async ({ page }) => {
  const fits = async (where: string) => {
    const wide = await page.evaluate(() => [...document.querySelectorAll('body *')].filter(e => {
      const r = e.getBoundingClientRect();
      return r.width > 0 && r.right > screen.width + 1 && !e.closest('.unseen, .table, .tree-edges, .wordmark');
    }).map(e => `${e.tagName}.${e.getAttribute('class')}`));
    assert.deepEqual(wide, [], where);
  };
  await fits('welcome');
  await picture(page, 'phone-welcome');
  await beginWithSampleOnPhone(page);
  await page.fill('#instruction', 'make it night');
  await page.getByRole('button', { name: /^Edit/ }).first().tap();
  await page.locator('.frame img[alt="make it night"]').waitFor();
  await fits('picture');
  await page.getByRole('button', { name: 'Slider' }).tap();
  await picture(page, 'phone-picture');
  await page.getByRole('button', { name: 'Options' }).or(page.getByRole('button', { name: 'Default' })).first().tap();
  await fits('options');
  const { y, height } = (await page.locator('.popover').boundingBox())!;
  assert.ok(y >= 0 && y + height <= 844, `the options are on the screen, from ${y} to ${y + height}`);
  await picture(page, 'phone-options');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Mask: where it may change' }).tap();
  await fits('mask');
  await page.getByRole('button', { name: 'Done' }).tap();
  await page.getByRole('navigation', { name: 'Panes' }).getByRole('button', { name: /^Edits/ }).tap();
  await turns(page, 2);
  await fits('tree');
  await picture(page, 'phone-tree');
  await axe(page, 'phone tree');
  await page.getByRole('navigation', { name: 'Panes' }).getByRole('button', { name: 'Details' }).tap();
  await fits('details');
  await picture(page, 'phone-details');
  await axe(page, 'phone details');
  await page.getByRole('button', { name: 'Rename' }).tap();
  await page.getByLabel('Name of the turn').fill('moonlight');
  await page.keyboard.press('Enter');
  await page.getByRole('treeitem', { name: /^moonlight/ }).tap();
  await page.locator('.frame img').first().waitFor();
  await page.getByRole('button', { name: 'Settings' }).tap();
  await fits('settings');
}, PHONE));

// What belongs to the picture's pane stays in it, at every width between a small phone and a desk.
test('small phones, phones on their side, tablets: nothing hangs out of its pane', () => studio(async ({ page }) => {
  await beginWithSample(page);
  for (const [count, words] of [[2, 'put the cat on the beach'], [3, 'make it night']] as const) {
    await page.getByRole('treeitem', { name: /^A cat/ }).click();
    await instruct(page, words);
    await turns(page, count);
  }
  await page.getByRole('button', { name: 'Compare others with this' }).click();
  await page.getByRole('treeitem', { name: /^put the cat/ }).click();
  await page.fill('#instruction', 'transform the background');
  await page.getByText(/often loses its identity/).waitFor();
  for (const mask of [false, true]) {
    if (mask) await page.getByRole('button', { name: 'Mask: where it may change' }).click();
    for (const [width, height] of [[320, 640], [700, 900], [820, 1100], [844, 390], [1010, 700], [1181, 800]]) {
      await page.setViewportSize({ width, height });
      await page.waitForTimeout(200);  // the picture is fitted a frame later
      const out = await page.evaluate(() => {
        const pane = document.querySelector('.stage')!.getBoundingClientRect();
        return [...document.querySelectorAll('.stage *')].filter(e => {
          const r = e.getBoundingClientRect();
          return r.width > 0 && (r.left < pane.left - 1 || r.right > pane.right + 1) && !e.closest('.unseen');
        }).map(e => `${e.tagName}.${e.getAttribute('class')}`);
      });
      assert.deepEqual(out, [], `${width} x ${height}${mask ? ', mask' : ''}`);
    }
  }
}, { reducedMotion: 'reduce' }));

test('two fingers enlarge the picture; in a mask one finger paints and two leave no stroke', () => studio(async ({ page }) => {
  await beginWithSampleOnPhone(page);
  const touch = await fingers(page);
  const frame = page.locator('.frame');
  const width = async () => (await frame.boundingBox())!.width;
  const box = (await frame.boundingBox())!;
  const x = box.x + box.width / 2, y = box.y + box.height / 2;
  const pinch = async (from: number, to: number) => {
    await touch('touchStart', [x - from, y]);
    await touch('touchStart', [x - from, y], [x + from, y]);
    for (let i = 1; i <= 6; ++i) {
      const reach = from + ((to - from) * i) / 6;
      await touch('touchMove', [x - reach, y], [x + reach, y]);
    }
    await touch('touchEnd');
  };
  await pinch(30, 90);
  assert.ok(Math.abs((await width()) / box.width - 3) < 0.1, `${(await width()) / box.width} times as large`);
  await picture(page, 'phone-enlarged');
  await page.getByRole('button', { name: 'Mask: where it may change' }).tap();
  await pinch(90, 60);
  assert.equal(await painted(page), 0, 'two fingers paint nothing');
  const scale = (await width()) / box.width;
  assert.ok(scale > 1.5 && scale < 2.5, `${scale} times as large`);
  await touch('touchStart', [x - 40, y]);
  for (let i = 1; i <= 8; ++i) await touch('touchMove', [x - 40 + 10 * i, y]);
  await touch('touchEnd');
  const one = await painted(page);
  assert.ok(one > 100, `${one} pixels by one finger`);
  const where = await page.locator('.mask-canvas').evaluate(c => {
    const canvas = c as HTMLCanvasElement;
    const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
    const rows = [...Array(canvas.height).keys()].filter(r => [...Array(canvas.width).keys()].some(c => data[4 * (r * canvas.width + c) + 3] > 127));
    return (rows[0] + rows[rows.length - 1]) / 2 / canvas.height;
  });
  assert.ok(Math.abs(where - 0.5) < 0.05, `the stroke is under the finger, at ${where} of the height`);
  await picture(page, 'phone-mask');
}, PHONE));

test('a tree of 100 turns: few rows in the page, and a key press costs little', () => studio(async ({ page, server }) => {
  await beginWithSample(page);
  const id = await page.evaluate(() => /#\/p\/([^/]+)/.exec(location.hash)![1]);
  let parent = 1;
  for (let made = 1; made < 100;) {
    const n = Math.min(11, 100 - made);
    const edit = await server.ask<{ id: string }>('POST', `/v1/projects/${id}/turns/${parent}/edits`, { prompt: `make it night`, steps: 1, n, seed: made });
    for (;;) {
      const now = await server.ask<{ state: string }>('GET', `/v1/edits/${edit.id}`);
      if (now.state === 'ready') break;
      assert.ok(['queued', 'running'].includes(now.state), now.state);
    }
    made += n;
    parent = made - 3;
  }
  await page.reload();
  await page.locator('.turn').first().waitFor();
  const count = (await server.ask<{ turns: unknown[] }>('GET', `/v1/projects/${id}`)).turns.length;
  assert.equal(count, 100);
  assert.ok((await page.locator('.turn').count()) < 40);
  await page.locator('.turn.chosen').focus();
  await page.keyboard.press('Home');
  const cost = await page.evaluate(async () => {
    const times: number[] = [];
    for (let i = 0; i < 99; ++i) {
      const begin = performance.now();
      document.activeElement!.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown', bubbles: true, cancelable: true }));
      await new Promise(requestAnimationFrame);
      times.push(performance.now() - begin);
      await new Promise(requestAnimationFrame);
    }
    return times.sort((a, b) => a - b);
  });
  console.log(`a key press and its frame over 100 turns: median ${cost[49].toFixed(1)} ms, worst ${cost[98].toFixed(1)} ms; bound 100 ms for the median`);
  assert.ok(cost[49] < 100);
  assert.match((await page.locator('.turn').last().getAttribute('class'))!, /chosen/, 'the last row is reached');
  await picture(page, 'hundred');
}));
