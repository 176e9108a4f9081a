// The page of reviewers, and what the studio shows of an edit that waits for one (kontext serve --review).
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { axe, beginWithSample, instruct, picture, studio, turns } from './studio';

test('an edit is shown once somebody approved it, and a refused one never', () => studio(async ({ page, server }) => {
  await beginWithSample(page);
  await instruct(page, 'put the cat in the city');
  await page.getByText('Done; a reviewer looks at it first').waitFor();
  assert.equal(await page.getByAltText('Preview of the edit as it is made').count(), 0);
  await picture(page, 'review-studio');
  const desk = await page.context().newPage();
  await desk.goto(`${server.url}/review`);
  const cards = desk.locator('.review-card');
  await cards.getByAltText('Result 1: put the cat in the city').waitFor();
  await cards.getByAltText('Made from 1: put the cat in the city').waitFor();
  await picture(desk, 'review');
  await axe(desk, 'review');
  await desk.getByRole('button', { name: 'Approve' }).click();
  await desk.getByText('Nothing waits for a review.').waitFor();
  await turns(page, 2);
  await page.getByAltText('put the cat in the city').first().waitFor();

  await instruct(page, 'make it night');
  await cards.getByText('make it night').waitFor();
  await desk.getByLabel('Reason of a refusal').fill('too dark, reviewed by r and a');  // letters that are keys elsewhere
  assert.equal(await cards.count(), 1);
  await desk.getByRole('button', { name: 'Refuse' }).click();
  await page.locator('.toast').getByText('too dark, reviewed by r and a').waitFor();
  await turns(page, 2);
  await desk.getByRole('button', { name: 'Decided' }).click();
  await desk.getByRole('cell', { name: 'Refused' }).waitFor();
  assert.deepEqual(await desk.locator('.review-table td:nth-child(2)').allInnerTexts(), ['Refused', 'Approved']);
  await picture(desk, 'review-decided');
  await axe(desk, 'decided');
  await instruct(page, 'make it snow');
  await desk.getByRole('button', { name: /Waiting/ }).click();
  await cards.getByText('make it snow').waitFor();
  await cards.focus();
  await desk.keyboard.press('a');
  await turns(page, 3);
}, {}, ['--review']));

test('with keys a reviewer\'s is asked for, and on a phone nothing is cut off', () => {
  const file = join(tmpdir(), `kontext-reviewers-${process.pid}`);
  writeFileSync(file, 'a reviewer of sixteen or more\n');
  return studio(async ({ page, server }) => {
    await server.ask('POST', '/v1/edits', { prompt: 'a happy orange cat in the forest', steps: 4, n: 2 });
    await page.goto(`${server.url}/review`);
    await page.getByLabel('Key', { exact: true }).last().fill('a reviewer of sixteen or more');
    await page.getByRole('button', { name: 'Enter' }).tap();
    await page.getByAltText('Result 2: a happy orange cat in the forest').waitFor();
    const wide = await page.evaluate(() => [...document.querySelectorAll('body *')].filter(e => {
      const r = e.getBoundingClientRect();
      return r.width > 0 && r.right > screen.width + 1 && !e.closest('.unseen');
    }).map(e => `${e.tagName}.${e.getAttribute('class')}`));
    assert.deepEqual(wide, []);
    await picture(page, 'review-phone');
    await axe(page, 'review on a phone');
  }, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, colorScheme: 'light' }, ['--review', '--reviewer-keys', file]);
});
