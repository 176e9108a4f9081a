import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WHOLE, kept, moved } from '../../src/zoom';

const box = { width: 400, height: 300 };
const near = (a: number, b: number) => assert.ok(Math.abs(a - b) < 1e-9, `${a} is not ${b}`);

test('what was under the fingers stays under them', () => {
  const finger = { x: 50, y: -40 };
  const z = moved(WHOLE, finger, finger, 3, box);
  assert.equal(z.scale, 3);
  near(z.x + z.scale * finger.x, finger.x);  // the picture's own point (50, -40), where it is drawn now
  near(z.y + z.scale * finger.y, finger.y);
});

test('a picture as large as its room does not move, an enlarged one to its edge', () => {
  assert.deepEqual(moved(WHOLE, { x: 0, y: 0 }, { x: 90, y: 20 }, 1, box), WHOLE);
  assert.deepEqual(moved({ scale: 2, x: 0, y: 0 }, { x: 0, y: 0 }, { x: 900, y: -900 }, 1, box), { scale: 2, x: 200, y: -150 });
});

test('never smaller than whole, never larger than sixteen times; and back to whole it is in the middle', () => {
  assert.deepEqual(moved({ scale: 2, x: 200, y: 0 }, { x: 0, y: 0 }, { x: 0, y: 0 }, 0.1, box), WHOLE);
  assert.equal(moved(WHOLE, { x: 0, y: 0 }, { x: 0, y: 0 }, 1000, box).scale, 16);
  assert.deepEqual(kept({ scale: 4, x: 1000, y: -1000 }, { width: 100, height: 100 }), { scale: 4, x: 150, y: -150 });
});
