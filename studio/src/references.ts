// Where the model sees each reference: a picture of src/edit/tokens.cc, MakeIds.

export interface Box { x: number; y: number; width: number; height: number }

// In tokens. The first reference lies on the target; each further one goes below or to the right of those before it, whichever
// keeps the whole the smaller.
export function placeReferences(sizes: { width: number; height: number }[]): Box[] {
  let width = 0, height = 0;
  return sizes.map(size => {
    const across = Math.max(1, Math.floor(size.width / 16)), down = Math.max(1, Math.floor(size.height / 16));
    let x = 0, y = 0;
    if (down + height > across + width) x = width;
    else y = height;
    height = Math.max(height, down + y);
    width = Math.max(width, across + x);
    return { x, y, width: across, height: down };
  });
}

export function extent(boxes: Box[]): { width: number; height: number } {
  return boxes.reduce((e, b) => ({ width: Math.max(e.width, b.x + b.width), height: Math.max(e.height, b.y + b.height) }),
    { width: 1, height: 1 });
}

// How many of the boxes, which fill rows as words do, come before a point: where among them something held there belongs. A point
// above or below all of them is in the nearest row.
export function placeAmong(boxes: { left: number; right: number; top: number; bottom: number }[], x: number, y: number): number {
  const row = Math.min(Math.max(...boxes.map(b => b.bottom)), Math.max(Math.min(...boxes.map(b => b.top)), y));
  return boxes.filter(b => b.bottom < row || (b.top <= row && (b.left + b.right) / 2 < x)).length;
}

// The size a picture is brought to: as src/edit/sizes.cc, NearestPreferred, for the first; the first one's area for the others.
export function fittedSize(picture: { width: number; height: number }, preferred: { width: number; height: number }[],
                           first?: { width: number; height: number }): { width: number; height: number } {
  if (first) {
    const aspect = picture.width / picture.height, area = first.width * first.height;
    const round = (v: number) => Math.max(16, Math.round(v / 16) * 16);
    return { width: round(Math.sqrt(area * aspect)), height: round(Math.sqrt(area / aspect)) };
  }
  const aspect = picture.width / picture.height;
  return [...preferred].sort((a, b) => Math.abs(aspect - a.width / a.height) - Math.abs(aspect - b.width / b.height) ||
    a.width - b.width || a.height - b.height)[0] ?? picture;
}
