import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asMask, asStrokes, difference } from '../../src/pixels';
import { extent, fittedSize, placeAmong, placeReferences } from '../../src/references';
import { aspect, bytes, duration, nameFrom } from '../../src/words';

const pixels = (...values: number[][]) => new Uint8ClampedArray(values.flat());

test('equal pictures differ nowhere', () => {
  const a = pixels([10, 20, 30, 255], [200, 100, 0, 255]);
  const d = difference(a, a, [255, 0, 0]);
  assert.equal(d.changed, 0);
  assert.equal(d.mean, 0);
  assert.ok(d.data[0] === d.data[1] && d.data[1] === d.data[2], 'grey');
});

test('a large change counts and glows, noise of a decoder does not count', () => {
  const a = pixels([10, 10, 10, 255], [10, 10, 10, 255]);
  const d = difference(a, pixels([15, 10, 10, 255], [250, 10, 10, 255]), [255, 0, 0]);
  assert.equal(d.changed, 0.5);
  assert.ok(Math.abs(d.mean - (5 + 240) / 6) < 1e-9);
  assert.deepEqual([...d.data.slice(4, 7)], [255, 0, 0]);
});

test('painted is white, the rest black, both opaque; and back', () => {
  const strokes = pixels([255, 122, 89, 255], [0, 0, 0, 0], [255, 122, 89, 40]);
  assert.equal(asMask(strokes), true);
  assert.deepEqual([...strokes], [255, 255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255]);
  asStrokes(strokes, [1, 2, 3]);
  assert.deepEqual([...strokes], [1, 2, 3, 255, 1, 2, 3, 0, 1, 2, 3, 0]);
  assert.equal(asMask(pixels([9, 9, 9, 0])), false);
});

test('what is held over rows of chips belongs before the first whose middle is beyond it', () => {
  const boxes = [[0, 100, 0], [110, 150, 0], [0, 60, 40]].map(([left, right, top]) => ({ left, right, top, bottom: top + 30 }));
  for (const [x, y, place] of [[10, 10, 0], [49, 10, 0], [51, 10, 1], [140, 10, 2], [300, 10, 2], [10, 45, 2], [40, 45, 3], [40, 500, 3], [10, -50, 0], [120, -50, 1], [60, 35, 2]])
    assert.equal(placeAmong(boxes, x, y), place, `${x}, ${y}`);
  assert.equal(placeAmong([], 5, 5), 0);
});

// By src/edit/tokens.cc: to the right where that keeps the whole smaller, else below.
test('references are placed as the engine places them', () => {
  const square = { width: 1024, height: 1024 };
  assert.deepEqual(placeReferences([square]), [{ x: 0, y: 0, width: 64, height: 64 }]);
  assert.deepEqual(placeReferences([square, square])[1], { x: 0, y: 64, width: 64, height: 64 });
  const tall = { width: 512, height: 1024 };
  assert.deepEqual(placeReferences([tall, tall])[1], { x: 32, y: 0, width: 32, height: 64 });
  assert.deepEqual(extent(placeReferences([square, square, square])), { width: 128, height: 128 });
});

test('no two references overlap', () => {
  const sizes = [[1024, 1024], [672, 1568], [1568, 672], [512, 512], [832, 1248]].map(([width, height]) => ({ width, height }));
  const boxes = placeReferences(sizes);
  boxes.forEach((a, i) => boxes.slice(i + 1).forEach(b => {
    const apart = a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
    assert.ok(apart, JSON.stringify([a, b]));
  }));
});

test('the first picture takes the nearest preferred size, further ones its area', () => {
  const preferred = [{ width: 1024, height: 1024 }, { width: 1392, height: 752 }, { width: 752, height: 1392 }];
  assert.deepEqual(fittedSize({ width: 1920, height: 1080 }, preferred), { width: 1392, height: 752 });
  assert.deepEqual(fittedSize({ width: 300, height: 300 }, preferred, { width: 1024, height: 1024 }), { width: 1024, height: 1024 });
});

test('numbers as people say them', () => {
  assert.equal(duration(0.02), '20 ms');
  assert.equal(duration(0.0999), '0.1 s');
  assert.equal(duration(42.4), '42 s');
  assert.equal(duration(380), '6 min 20 s');
  assert.equal(duration(7260), '2 h 01 min');
  assert.equal(duration(NaN), '');
  assert.equal(bytes(9.1 * 2 ** 30), '9.1 GiB');
  assert.equal(nameFrom('photos/cat\u0007.png', 'x'), 'photos cat');
  assert.equal(nameFrom('.png', 'Picture'), 'Picture');
});

test('proportions are told in small numbers', () => {
  const told = [[1024, 1024], [1248, 832], [1184, 880], [832, 1248], [1392, 752], [1568, 672], [672, 1568], [128, 128]]
    .map(([width, height]) => aspect({ width, height }));
  assert.deepEqual(told, ['1:1', '3:2', '4:3', '2:3', '11:6', '7:3', '3:7', '1:1']);
});
