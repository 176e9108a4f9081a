// Brush, lasso and rectangle: where an edit may change the picture.
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Turn } from './api';
import type { IconName } from './icons';
import { Button, Switch, px } from './parts';
import { COLOUR, dropMask, maskFor, maskOpen, painted, tool } from './mask_state';
import type { Begun, Point, Shape } from './mask_state';

interface Picture { width: number; height: number }

// Where the brush is, and the outline that is being drawn.
function Pending({ begun, cursor, picture, scale }: { begun: Begun | null; cursor: Point | null; picture: Picture; scale: number }) {
  const size = px(tool.value.size * scale), erase = (begun ?? tool.value).erase ? 'erase' : '';
  return (
    <>
      {cursor && <span class={`brush-cursor ${erase}`} style={{ width: size, height: size, left: px(cursor.x * scale), top: px(cursor.y * scale) }} />}
      {begun && begun.shape !== 'brush' && (
        <svg class={`outline ${erase}`} viewBox={`0 0 ${picture.width} ${picture.height}`} preserveAspectRatio="none" aria-hidden="true">
          <polygon points={begun.points.map(p => `${p.x},${p.y}`).join(' ')} fill={erase ? '#000' : COLOUR} />
        </svg>
      )}
    </>
  );
}

// Painted at the picture's own pixels, shown at the size of the box. By pointer, or with the brush by arrow keys and space.
export function MaskLayer({ turn, picture, box }: { turn: Turn; picture: Picture; box: Picture }) {
  const mask = maskFor(turn.id, picture.width, picture.height);
  const holder = useRef<HTMLDivElement>(null);
  const [cursor, setCursor] = useState<Point | null>(null);
  const { shape, erase, size } = tool.value;
  useEffect(() => {
    mask.canvas.className = 'mask-canvas';
    mask.canvas.setAttribute('aria-hidden', 'true');
    holder.current?.prepend(mask.canvas);
    return () => {
      mask.drop();
      mask.canvas.remove();
    };
  }, [mask]);

  const at = (e: PointerEvent) => {  // also of a frame that is enlarged
    const r = holder.current!.getBoundingClientRect();
    const seen = r.width / picture.width;
    return { x: (e.clientX - r.left) / seen, y: (e.clientY - r.top) / seen };
  };
  const onKeyDown = (e: KeyboardEvent) => {
    const step = Math.max(1, size / (e.shiftKey ? 1 : 4));
    const from = cursor ?? { x: picture.width / 2, y: picture.height / 2 };
    const moves: Record<string, [number, number]> = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const move = moves[e.key];
    if (move) {
      const to = { x: Math.min(picture.width, Math.max(0, from.x + move[0])), y: Math.min(picture.height, Math.max(0, from.y + move[1])) };
      setCursor(to);
      mask.extend(to);
    } else if (e.key === ' ') {
      if (e.repeat) return e.preventDefault();
      mask.begin(from, 'brush', erase);
      setCursor(from);
    } else if (e.key === 'z' && (e.ctrlKey || e.metaKey)) mask.undo();
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  return (
    <div class={`mask-layer ${shape === 'brush' ? '' : 'outlining'}`} ref={holder} tabIndex={0} role="application"
      aria-label="Mask. Arrow keys move the brush, hold space to paint, Control Z takes back."
      style={{ opacity: mask.keep ? 1 : 0.35 }} onKeyDown={onKeyDown} onKeyUp={e => e.key === ' ' && mask.end()}
      onPointerDown={e => {
        if (e.button !== 0) return;
        e.currentTarget.setPointerCapture(e.pointerId);
        mask.begin(at(e), shape, erase || e.altKey);
      }}
      onPointerMove={e => {
        const to = at(e);
        setCursor(shape === 'brush' ? to : null);
        if (e.buttons & 1) mask.extend(to);
      }}
      onPointerUp={() => mask.end()} onPointerCancel={() => mask.drop()} onPointerLeave={() => setCursor(null)}>
      <Pending begun={mask.begun.value} cursor={cursor} picture={picture} scale={box.width / picture.width} />
    </div>
  );
}

const SHAPES: { shape: Shape; icon: IconName; label: string; hint: string }[] = [
  { shape: 'brush', icon: 'brush', label: 'Paint where it may change', hint: 'Brush: paint where it may change; with Alt it erases' },
  { shape: 'lasso', icon: 'lasso', label: 'Lasso', hint: 'Lasso: draw around what may change; with Alt it is taken away' },
  { shape: 'rectangle', icon: 'rectangle', label: 'Rectangle', hint: 'Rectangle: drag over what may change; with Alt it is taken away' },
];

export function MaskTools({ turn, picture }: { turn: Turn; picture: Picture }) {
  const mask = maskFor(turn.id, picture.width, picture.height);
  const [, again] = useState(0);
  void painted.value;  // drawn anew with every stroke
  const most = Math.max(8, Math.round(Math.min(picture.width, picture.height) / 2));
  return (
    <div class="mask-tools" role="toolbar" aria-label="Mask">
      <div class="mask-group">
        {SHAPES.map(({ shape, icon, label, hint }) => (
          <Button key={shape} icon={icon} label={label} hint={hint} pressed={tool.value.shape === shape}
            onClick={() => (tool.value = { ...tool.value, shape, erase: false })} />
        ))}
        <Button icon="eraser" label="Erase" hint="Erase, by whichever of these is chosen" pressed={tool.value.erase}
          onClick={() => (tool.value = { ...tool.value, erase: !tool.value.erase })} />
      </div>
      <div class="mask-group">
        <Button icon="undo" label="Take the last stroke back" disabled={!mask.canUndo} onClick={() => mask.undo()} />
        <Button icon="invert" label="Invert" onClick={() => mask.invert()} />
        <Button icon="trash" label="Remove the mask" onClick={() => { dropMask(turn.id); maskOpen.value = false; }} />
        <Button icon="check" label="Done" kind="primary" onClick={() => (maskOpen.value = false)} />
      </div>
      <div class="mask-group settings">
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
        <Switch label="Keep outside" checked={mask.keep} hint="Pixels outside are the picture's own, bit for bit"
          onChange={on => { mask.keep = on; ++painted.value; }} />
      </div>
    </div>
  );
}
