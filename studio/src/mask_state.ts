// The mask of each turn: what the brush has painted, at the picture's own size.
import { signal } from '@preact/signals';
import { asMask } from './pixels';

// No colour of skin, leaves, sky or the page.
export const INK: [number, number, number] = [230, 20, 160];
export const COLOUR = `rgb(${INK.join(' ')})`;

export interface MaskTool { erase: boolean; size: number }

export const maskOpen = signal(false);
export const tool = signal<MaskTool>({ erase: false, size: 24 });
export const painted = signal(0);  // grows with every stroke, so that what shows a mask is drawn again

export class Mask {
  readonly canvas = document.createElement('canvas');
  feather = 0;
  keep = true;  // what is not painted stays as it is, byte for byte
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

  stroke(from: { x: number; y: number }, to: { x: number; y: number }, { erase, size }: MaskTool, colour: string): void {
    const c = this.context;
    c.globalCompositeOperation = erase ? 'destination-out' : 'source-over';
    c.strokeStyle = c.fillStyle = erase ? '#000' : colour;
    c.lineWidth = size;
    c.lineCap = c.lineJoin = 'round';
    c.beginPath();
    c.moveTo(from.x, from.y);
    c.lineTo(to.x, to.y);
    c.stroke();
    c.beginPath();
    c.arc(to.x, to.y, size / 2, 0, 7);
    c.fill();
    c.globalCompositeOperation = 'source-over';
    ++painted.value;
  }

  clear(): void {
    this.remember();
    this.context.clearRect(0, 0, this.width, this.height);
    ++painted.value;
  }
  invert(colour: string): void {
    this.remember();
    const c = this.context;
    c.globalCompositeOperation = 'source-out';
    c.fillStyle = colour;
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
