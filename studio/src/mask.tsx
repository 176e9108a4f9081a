// The brush: where an edit may change the picture.
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Turn } from './api';
import { Button, Switch, px } from './parts';
import { COLOUR, dropMask, maskFor, maskOpen, painted, tool } from './mask_state';

interface Picture { width: number; height: number }

// Painted at the picture's own pixels, shown at the size of the box. By pointer, or by arrow keys and space.
export function MaskLayer({ turn, picture, box }: { turn: Turn; picture: Picture; box: Picture }) {
  const mask = maskFor(turn.id, picture.width, picture.height);
  const holder = useRef<HTMLDivElement>(null);
  const last = useRef<{ x: number; y: number } | null>(null);
  const [cursor, setCursor] = useState<{ x: number; y: number } | null>(null);
  const scale = box.width / picture.width;
  useEffect(() => {
    mask.canvas.className = 'mask-canvas';
    mask.canvas.setAttribute('aria-hidden', 'true');
    holder.current?.prepend(mask.canvas);
    return () => mask.canvas.remove();
  }, [mask]);

  const at = (e: PointerEvent) => {  // also of a frame that is enlarged
    const r = holder.current!.getBoundingClientRect();
    const seen = r.width / picture.width;
    return { x: (e.clientX - r.left) / seen, y: (e.clientY - r.top) / seen };
  };
  const paint = (to: { x: number; y: number }) => {
    mask.stroke(last.current ?? to, to, tool.value, COLOUR);
    last.current = to;
  };
  const onKeyDown = (e: KeyboardEvent) => {
    const step = Math.max(1, tool.value.size / (e.shiftKey ? 1 : 4));
    const from = cursor ?? { x: picture.width / 2, y: picture.height / 2 };
    const moves: Record<string, [number, number]> = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const move = moves[e.key];
    if (move) {
      const to = { x: Math.min(picture.width, Math.max(0, from.x + move[0])), y: Math.min(picture.height, Math.max(0, from.y + move[1])) };
      setCursor(to);
      if (last.current) paint(to);
    } else if (e.key === ' ') {
      if (e.repeat) return e.preventDefault();
      mask.remember();
      last.current = from;
      paint(from);
      setCursor(from);
    } else if (e.key === 'z' && (e.ctrlKey || e.metaKey)) mask.undo();
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  return (
    <div class="mask-layer" ref={holder} tabIndex={0} role="application"
      aria-label="Mask. Arrow keys move the brush, hold space to paint, Control Z takes back."
      style={{ opacity: mask.keep ? 1 : 0.35 }} onKeyDown={onKeyDown} onKeyUp={e => e.key === ' ' && (last.current = null)}
      onPointerDown={e => {
        if (e.button !== 0) return;
        e.currentTarget.setPointerCapture(e.pointerId);
        mask.remember();
        last.current = null;
        paint(at(e));
      }}
      onPointerMove={e => {
        const to = at(e);
        setCursor(to);
        if (e.buttons & 1 && last.current) paint(to);
      }}
      onPointerUp={() => (last.current = null)} onPointerCancel={() => (last.current = null)} onPointerLeave={() => setCursor(null)}>
      {cursor && (
        <span class={`brush-cursor ${tool.value.erase ? 'erase' : ''}`} style={{
          width: px(tool.value.size * scale), height: px(tool.value.size * scale), left: px(cursor.x * scale), top: px(cursor.y * scale),
        }} />
      )}
    </div>
  );
}

export function MaskTools({ turn, picture }: { turn: Turn; picture: Picture }) {
  const mask = maskFor(turn.id, picture.width, picture.height);
  const [, again] = useState(0);
  void painted.value;  // drawn anew with every stroke
  const most = Math.max(8, Math.round(Math.min(picture.width, picture.height) / 2));
  return (
    <div class="mask-tools" role="toolbar" aria-label="Mask">
      <div class="mask-group">
        <Button icon="brush" label="Paint where it may change" pressed={!tool.value.erase} onClick={() => (tool.value = { ...tool.value, erase: false })} />
        <Button icon="eraser" label="Erase" pressed={tool.value.erase} onClick={() => (tool.value = { ...tool.value, erase: true })} />
        <label class="slide"><span>Size</span>
          <input type="range" min={2} max={most} value={Math.min(most, tool.value.size)} aria-valuetext={`${tool.value.size} pixels`}
            onInput={e => (tool.value = { ...tool.value, size: e.currentTarget.valueAsNumber })} />
          <output>{Math.min(most, tool.value.size)} px</output>
        </label>
        <label class="slide"><span>Feather</span>
          <input type="range" min={0} max={Math.round(most / 2)} value={mask.feather} aria-valuetext={`${mask.feather} pixels`}
            onInput={e => { mask.feather = e.currentTarget.valueAsNumber; again(n => n + 1); }} />
          <output>{mask.feather} px</output>
        </label>
      </div>
      <div class="mask-group">
        <Switch label="Keep outside" checked={mask.keep} hint="Pixels outside are the picture's own, bit for bit"
          onChange={on => { mask.keep = on; ++painted.value; }} />
        <Button icon="undo" label="Take the last stroke back" disabled={!mask.canUndo} onClick={() => mask.undo()} />
        <Button icon="invert" label="Invert" onClick={() => mask.invert(COLOUR)} />
        <Button icon="trash" label="Remove the mask" onClick={() => { dropMask(turn.id); maskOpen.value = false; }} />
        <Button icon="check" label="Done" kind="primary" onClick={() => (maskOpen.value = false)} />
      </div>
    </div>
  );
}
