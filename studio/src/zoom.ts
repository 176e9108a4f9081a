// Looking closer: two fingers, the wheel or keys; one finger or the mouse moves what is enlarged.
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { RefObject } from 'preact';

export interface Zoom { scale: number; x: number; y: number }  // of the frame; x and y are its middle's way, in pixels
interface Point { x: number; y: number }
interface Box { width: number; height: number }

export const WHOLE: Zoom = { scale: 1, x: 0, y: 0 };
const MOST = 16;
export const zoom = signal<Zoom>(WHOLE);

// The frame may not leave a gap beside it that it would fill.
export function kept(z: Zoom, box: Box): Zoom {
  const scale = Math.min(MOST, Math.max(1, z.scale));
  const most = (side: number) => ((scale - 1) * side) / 2;
  const within = (v: number, m: number) => Math.min(m, Math.max(-m, v)) || 0;
  return { scale, x: within(z.x, most(box.width)), y: within(z.y, most(box.height)) };
}

// What was at `from` is at `to`, `by` times as large. Points are measured from the middle of the room.
export function moved(z: Zoom, from: Point, to: Point, by: number, box: Box): Zoom {
  const scale = Math.min(MOST, Math.max(1, z.scale * by));
  const k = scale / z.scale;
  return kept({ scale, x: to.x - (from.x - z.x) * k, y: to.y - (from.y - z.y) * k }, box);
}

const middle = (a: Point, b: Point): Point => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
const apart = (a: Point, b: Point): number => Math.max(1, Math.hypot(a.x - b.x, a.y - b.y));

// Two fingers take the gesture from whatever the first one has begun: `taken` lets go of that.
export function useGestures(room: RefObject<HTMLElement | null>, box: Box, taken: () => void): void {
  useEffect(() => {
    const el = room.current;
    if (!el) return;
    const down = new Map<number, Point>();
    let pinching = false, first: Element | null = null;
    const at = (e: MouseEvent): Point => {
      const r = el.getBoundingClientRect();
      return { x: e.clientX - r.left - r.width / 2, y: e.clientY - r.top - r.height / 2 };
    };
    const begin = (e: PointerEvent) => {
      if (e.pointerType === 'mouse' && e.button !== 0) return;
      if (down.size === 0) first = e.target as Element;
      down.set(e.pointerId, at(e));
      if (down.size !== 2) return;
      pinching = true;
      taken();
      e.stopPropagation();
    };
    const move = (e: PointerEvent) => {
      const before = down.get(e.pointerId);
      if (!before) return;
      const to = at(e);
      if (pinching) {
        e.stopPropagation();
        const other = [...down].find(([id]) => id !== e.pointerId)?.[1];
        if (other) zoom.value = moved(zoom.value, middle(before, other), middle(to, other), apart(to, other) / apart(before, other), box);
      } else if (zoom.value.scale > 1 && !first?.closest('input, .mask-layer, button')) {
        zoom.value = moved(zoom.value, before, to, 1, box);
      }
      down.set(e.pointerId, to);
    };
    const end = (e: PointerEvent) => {
      down.delete(e.pointerId);
      if (down.size === 0) pinching = false;
    };
    const wheel = (e: WheelEvent) => {
      e.preventDefault();
      zoom.value = moved(zoom.value, at(e), at(e), Math.exp(-e.deltaY * (e.ctrlKey ? 0.01 : 0.002)), box);
    };
    const twice = (e: MouseEvent) => {
      if ((e.target as Element).closest('input, .mask-layer, button')) return;
      zoom.value = zoom.value.scale > 1 ? WHOLE : moved(zoom.value, at(e), at(e), 3, box);
    };
    zoom.value = kept(zoom.value, box);
    el.addEventListener('pointerdown', begin, true);
    el.addEventListener('pointermove', move, true);
    for (const name of ['pointerup', 'pointercancel'] as const) window.addEventListener(name, end, true);
    el.addEventListener('wheel', wheel, { passive: false });
    el.addEventListener('dblclick', twice);
    return () => {
      el.removeEventListener('pointerdown', begin, true);
      el.removeEventListener('pointermove', move, true);
      for (const name of ['pointerup', 'pointercancel'] as const) window.removeEventListener(name, end, true);
      el.removeEventListener('wheel', wheel);
      el.removeEventListener('dblclick', twice);
    };
  }, [box.width, box.height]);
}
