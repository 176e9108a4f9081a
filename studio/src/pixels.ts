// Two pictures held against each other, pixel by pixel; and what a brush has painted, as the mask the server reads.

export interface Difference {
  data: Uint8ClampedArray<ArrayBuffer>;  // RGBA: the picture in grey, what changed glows
  changed: number;   // share of pixels that changed visibly
  mean: number;      // mean change of a channel, levels of 255
}

const VISIBLE = 12;  // levels; the tree's own bound for "edited" (docs/drift.md)

// Over RGBA of the same size. The glow grows with the change and is full at a quarter of the range.
export function difference(before: Uint8ClampedArray, after: Uint8ClampedArray, glow: [number, number, number]): Difference {
  const data = new Uint8ClampedArray(after.length);
  let changed = 0, sum = 0;
  for (let i = 0; i < after.length; i += 4) {
    const d0 = Math.abs(after[i] - before[i]), d1 = Math.abs(after[i + 1] - before[i + 1]), d2 = Math.abs(after[i + 2] - before[i + 2]);
    const most = Math.max(d0, d1, d2);
    sum += d0 + d1 + d2;
    if (most > VISIBLE) ++changed;
    const grey = 24 + 0.3 * (0.299 * after[i] + 0.587 * after[i + 1] + 0.114 * after[i + 2]);
    const heat = most > VISIBLE ? Math.min(1, 0.25 + most / 64) : most / 255;
    for (let c = 0; c < 3; ++c) data[i + c] = grey + (glow[c] - grey) * heat;
    data[i + 3] = 255;
  }
  const pixels = Math.max(1, after.length / 4);
  return { data, changed: changed / pixels, mean: sum / (3 * pixels) };
}

// A brush's opacity as a mask: white may change, black stays (docs/masks.md). False if nothing is painted.
export function asMask(painted: Uint8ClampedArray): boolean {
  let any = false;
  for (let i = 0; i < painted.length; i += 4) {
    const value = painted[i + 3] >= 128 ? 255 : 0;
    any ||= value > 0;
    painted[i] = painted[i + 1] = painted[i + 2] = value;
    painted[i + 3] = 255;
  }
  return any;
}

// The way back: a stored mask as strokes in a colour.
export function asStrokes(mask: Uint8ClampedArray, colour: [number, number, number]): void {
  for (let i = 0; i < mask.length; i += 4) {
    const opaque = mask[i] >= 128 ? 255 : 0;
    mask.set([...colour, opaque], i);
  }
}
