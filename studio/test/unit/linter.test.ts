import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TEMPLATES, lint } from '../../src/linter';

const rules = (prompt: string, context = {}) => lint(prompt, context).map(r => r.rule);
const mended = (prompt: string, rule: string) => lint(prompt).find(r => r.rule === rule)?.mend?.prompt;

test('plain instructions are left in peace', () => {
  for (const prompt of ['', '   ', 'make it night', 'change the car color to red', 'give the robot a red crown', 'remove the top hat'])
    assert.deepEqual(rules(prompt), [], prompt);
});

test('pronouns for people are named; "it" is not, models are taught it', () => {
  assert.deepEqual(rules('give her a red hat'), ['pronoun']);
  assert.deepEqual(rules('make it blue'), []);
  assert.deepEqual(rules('a picture of the theatre'), []);
});

test('transform becomes change, in the same form', () => {
  assert.equal(mended('Transform the cat into a dog', 'transform'), 'Change the cat into a dog');
  assert.equal(mended('keep transforming the cat', 'transform'), 'keep changing the cat');
  assert.deepEqual(rules(mended('transform the cat into a dog', 'transform')!), []);
});

test('a broad change without what stays gets a clause, and then is sound', () => {
  const better = mended('change the background to a beach.', 'keep')!;
  assert.equal(better, 'change the background to a beach while keeping everything else exactly the same.');
  assert.deepEqual(rules(better), []);
});

test('text in the picture belongs into quotes', () => {
  assert.equal(mended('change the sign to OPEN', 'quotes'), "change the sign to 'OPEN'");
  assert.deepEqual(rules("Replace the word 'joy' with 'BFL'"), []);
  assert.deepEqual(rules("Replace 'transform her' with 'no'"), [], 'what is quoted is no instruction');
});

test('negation, many changes, other languages', () => {
  assert.deepEqual(rules('a street with no cars'), ['negation']);
  assert.deepEqual(rules('make it night, add a moon and remove the cat'), ['many']);
  assert.deepEqual(rules('сделай ночь'), ['english']);
  assert.deepEqual(rules('把猫变成狗'), ['english']);
});

test('too long is what T5 says, not what we guess', () => {
  assert.deepEqual(rules('make it night', { t5: { tokens: 513, limit: 512 } }), ['long']);
  assert.deepEqual(rules('make it night', { t5: { tokens: 512, limit: 512 } }), []);
});

test('what the loaded model was trained on is never remarked upon', () => {
  assert.deepEqual(rules('Change the background to the beach', { examples: ['change the background to the beach'] }), []);
});

test('our own templates follow the rules', () => {
  for (const { prompt } of TEMPLATES) assert.deepEqual(rules(prompt.replace(/[{}]/g, '')), [], prompt);
});

test('a mend is stable: applied once, its rule is content', () => {
  for (const prompt of ['transform the background', 'change the style to a pencil sketch!', 'the title reads HELLO WORLD']) {
    for (const remark of lint(prompt)) if (remark.mend) assert.ok(!rules(remark.mend.prompt).includes(remark.rule), remark.mend.prompt);
  }
});
