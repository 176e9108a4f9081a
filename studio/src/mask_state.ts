// The mask of each turn: what was painted or outlined, at the picture's own size.
import { signal } from '@preact/signals';
import { asMask } from './pixels';

// No colour of skin, leaves, sky or the page.
export const INK: [number, number, number] = [230, 20, 160];
export const COLOUR = `rgb(${INK.join(' ')})`;

export interface Point { x: number; y: number }
export type Shape = 'brush' | 'lasso' | 'rectangle';
export interface MaskTool { shape: Shape; erase: boolean; size: number }
// By a pointer or the space key, and not ended: of the brush where it is, else the outline so far.
export interface Begun { shape: Shape; erase: boolean; points: Point[] }

export const maskOpen = signal(false);
export const tool = signal<MaskTool>({ shape: 'brush', erase: false, size: 24 });
export const painted = signal(0);  // grows with every stroke, so that what shows a mask is drawn again

function extended({ shape, points }: Begun, to: Point): Point[] {
  if (shape === 'brush') return [to];
  if (shape === 'lasso') return [...points, to];
  const [from] = points;
  return [from, { x: to.x, y: from.y }, to, { x: from.x, y: to.y }];
}

// A press that hardly moved outlines nothing, and is no step to take back.
function hasArea(points: Point[]): boolean {
  return (['x', 'y'] as const).every(k => Math.max(...points.map(p => p[k])) - Math.min(...points.map(p => p[k])) >= 1);
}

export class Mask {
  readonly canvas = document.createElement('canvas');
  feather = 0;
  keep = true;  // what is not painted stays as it is, byte for byte
  readonly begun = signal<Begun | null>(null);
  private past: ImageData[] = [];

  constructor(readonly width: number, readonly height: number) {
    this.canvas.width = width;
    this.canvas.height = height;
  }

  private get context(): CanvasRenderingContext2D {
    return this.canvas.getContext('2d', { willReadFrequently: true })!;
  }

  remember(): void {
    this.past = [...this.past.slice(-19), this.context.getImageData(0, 0, this.width, this.height)];
  }
  undo(): void {
    const last = this.past.pop();
    if (last) this.context.putImageData(last, 0, 0);
    ++painted.value;
  }
  get canUndo(): boolean {
    return this.past.length > 0;
  }

  begin(at: Point, shape: Shape, erase: boolean): void {
    this.begun.value = { shape, erase, points: [at] };
    if (shape !== 'brush') return;
    this.remember();
    this.stroke(at, at, erase);
  }
  extend(to: Point): void {
    const begun = this.begun.value;
    if (!begun) return;
    if (begun.shape === 'brush') this.stroke(begun.points[0], to, begun.erase);
    this.begun.value = { ...begun, points: extended(begun, to) };
  }
  end(): void {
    const begun = this.begun.value;
    this.begun.value = null;
    if (!begun || begun.shape === 'brush' || !hasArea(begun.points)) return;
    this.remember();
    this.fill(begun.points, begun.erase);
  }
  // As if it had not begun.
  drop(): void {
    if (this.begun.value?.shape === 'brush') this.undo();
    this.begun.value = null;
  }

  private draw(erase: boolean, work: (c: CanvasRenderingContext2D) => void): void {
    const c = this.context;
    c.globalCompositeOperation = erase ? 'destination-out' : 'source-over';
    c.strokeStyle = c.fillStyle = erase ? '#000' : COLOUR;
    work(c);
    c.globalCompositeOperation = 'source-over';
    ++painted.value;
  }
  private stroke(from: Point, to: Point, erase: boolean): void {
    const { size } = tool.value;
    this.draw(erase, c => {
      c.lineWidth = size;
      c.lineCap = c.lineJoin = 'round';
      c.beginPath();
      c.moveTo(from.x, from.y);
      c.lineTo(to.x, to.y);
      c.stroke();
      c.beginPath();
      c.arc(to.x, to.y, size / 2, 0, 7);
      c.fill();
    });
  }
  private fill(outline: Point[], erase: boolean): void {
    this.draw(erase, c => {
      c.beginPath();
      for (const p of outline) c.lineTo(p.x, p.y);
      c.fill();
    });
  }

  invert(): void {
    this.remember();
    const c = this.context;
    c.globalCompositeOperation = 'source-out';
    c.fillStyle = COLOUR;
    c.fillRect(0, 0, this.width, this.height);
    c.globalCompositeOperation = 'source-over';
    ++painted.value;
  }
  restore(strokes: ImageData): void {
    this.context.putImageData(strokes, 0, 0);
    ++painted.value;
  }

  get empty(): boolean {
    const { data } = this.context.getImageData(0, 0, this.width, this.height);
    for (let i = 3; i < data.length; i += 4) if (data[i] >= 128) return false;
    return true;
  }
  // White where it may change, black where it stays; null if nothing is painted.
  async png(): Promise<Blob | null> {
    const data = this.context.getImageData(0, 0, this.width, this.height);
    if (!asMask(data.data)) return null;
    const out = document.createElement('canvas');
    out.width = this.width;
    out.height = this.height;
    out.getContext('2d')!.putImageData(data, 0, 0);
    return new Promise(resolve => out.toBlob(resolve, 'image/png'));
  }
}

const masks = new Map<number, Mask>();
let owner = '';

// Masks belong to the turns of one project.
export function masksOf(project: string): void {
  if (owner === project) return;
  masks.clear();
  owner = project;
}
export function maskOf(turn: number): Mask | undefined {
  return masks.get(turn);
}
export function maskFor(turn: number, width: number, height: number): Mask {
  const known = masks.get(turn);
  if (known && known.width === width && known.height === height) return known;
  const made = new Mask(width, height);
  masks.set(turn, made);
  return made;
}
export function dropMask(turn: number): void {
  masks.delete(turn);
  ++painted.value;
}
