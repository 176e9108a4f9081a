import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layOut, visible } from '../../src/tree';

const tree = (...edges: [string, string | null][]) => edges.map(([key, parent]) => ({ key, parent }));
const drawn = (nodes: { key: string; parent: string | null }[]) => layOut(nodes).map(r => `${r.node.key}${r.lane}`).join(' ');

test('a chain is one lane, top to bottom', () => {
  assert.equal(drawn(tree(['a', null], ['b', 'a'], ['c', 'b'])), 'a0 b0 c0');
});

test('the last child goes on in the lane, those before it step aside', () => {
  assert.equal(drawn(tree(['a', null], ['b', 'a'], ['c', 'a'], ['d', 'b'], ['e', 'c'])), 'a0 b1 d1 c0 e0');
});

test('a branch of a branch is one lane further, and no row is taken twice', () => {
  const rows = layOut(tree(['a', null], ['b', 'a'], ['c', 'b'], ['d', 'b'], ['e', 'a']));
  assert.deepEqual(rows.map(r => [r.node.key, r.row, r.lane, r.parentRow]), [
    ['a', 0, 0, -1], ['b', 1, 1, 0], ['c', 2, 2, 1], ['d', 3, 1, 1], ['e', 4, 0, 0]]);
});

test('an edge never runs through a row of another branch in its lane', () => {
  const nodes = tree(['r', null]);
  for (let i = 0; i < 300; ++i) nodes.push({ key: `n${i}`, parent: i < 3 ? 'r' : `n${(i * 7919) % i}` });
  const rows = layOut(nodes);
  assert.equal(new Set(rows.map(r => r.row)).size, nodes.length);
  for (const r of rows) {
    for (let at = r.parentRow + 1; r.parentRow >= 0 && at < r.row; ++at)
      assert.notEqual(rows[at].lane, r.parentLane, `${rows[at].node.key} lies on the edge to ${r.node.key}`);
  }
});

test('two roots, and a turn whose parent is gone, are roots in lane 0', () => {
  assert.equal(drawn(tree(['a', null], ['b', null], ['c', 'gone'])), 'a0 b0 c0');
  assert.deepEqual(layOut(tree(['a', null], ['b', null])).map(r => r.parentRow), [-1, -1]);
});

test('what a screen reader is told: level, place among siblings', () => {
  const rows = layOut(tree(['a', null], ['b', 'a'], ['c', 'a']));
  assert.deepEqual(rows.map(r => [r.depth, r.position, r.setSize, r.children]), [[0, 1, 1, 2], [1, 1, 2, 0], [1, 2, 2, 0]]);
});

test('a chain of 20,000 turns is laid out without recursion, fast', () => {
  const nodes = Array.from({ length: 20000 }, (_, i) => ({ key: `${i}`, parent: i ? `${i - 1}` : null }));
  const begin = performance.now();
  const rows = layOut(nodes);
  assert.ok(rows.every(r => r.lane === 0));
  assert.ok(performance.now() - begin < 1000);
});

test('only rows on screen are drawn', () => {
  assert.deepEqual(visible(1000, 68, 0, 680), [0, 16]);
  assert.deepEqual(visible(1000, 68, 6800, 680), [94, 116]);
  assert.deepEqual(visible(3, 68, 0, 680), [0, 3]);
  assert.deepEqual(visible(3, 68, 99999, 680), [3, 3]);  // scrolled far, then most were deleted
});
