// Screen readers (axe), both colours, a phone, long trees.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { axe, beginWithSample, instruct, picture, studio, turns } from './studio';

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
  await axe(page, 'phone details');
  await page.getByRole('button', { name: 'Rename' }).tap();
  await page.getByLabel('Name of the turn').fill('moonlight');
  await page.keyboard.press('Enter');
  await page.getByRole('treeitem', { name: /^moonlight/ }).tap();
  await page.locator('.frame img').first().waitFor();
  await page.getByRole('button', { name: 'Settings' }).tap();
  await fits('settings');
}, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 }));

async function beginWithSampleOnPhone(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Try the sample' }).tap();
  await page.locator('.frame img').waitFor();
}

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
