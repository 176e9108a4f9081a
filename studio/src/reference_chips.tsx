// The references of the next edit: put in another order, left out for a while, removed.
import { useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import { moveReference, references, removeReference, switchReference } from './composer_state';
import { Icon } from './icons';
import { placeAmong } from './references';
import { announcement } from './messages';

const SLIP = 6;  // pixels that a press may move and still be a press

interface Held { url: string; x: number; y: number; dragged: boolean }

// Dragged by mouse or finger. The list hears the pointer, for a chip that changes its place loses it.
function useDrag() {
  const held = useSignal<Held | null>(null);
  const onPointerDown = (e: PointerEvent) => {
    const chip = (e.target as Element).closest('.chip-use')?.closest('li');
    if (e.button === 0 && chip) held.value = { url: chip.dataset.url!, x: e.clientX, y: e.clientY, dragged: false };
  };
  const onPointerMove = (e: PointerEvent) => {
    const h = held.value, list = e.currentTarget as HTMLElement;
    if (!h) return;
    if (!(e.buttons & 1)) return void (held.value = null);  // let go elsewhere, before it was dragged
    if (!h.dragged) {
      if (Math.hypot(e.clientX - h.x, e.clientY - h.y) < SLIP) return;
      list.setPointerCapture(e.pointerId);  // only now: of a captured press the button would hear no click
      held.value = { ...h, dragged: true };
    }
    const others = [...list.children].filter(c => (c as HTMLElement).dataset.url !== h.url).map(c => c.getBoundingClientRect());
    const from = references.value.findIndex(r => r.url === h.url), to = placeAmong(others, e.clientX, e.clientY);
    if (from >= 0 && from !== to) moveReference(from, to);
  };
  const letGo = () => void (held.value = null);
  return { held, hears: { onPointerDown, onPointerMove, onPointerUp: letGo, onPointerCancel: letGo } };
}

export function ReferenceChips() {
  const list = useRef<HTMLUListElement>(null);
  const { held, hears } = useDrag();
  const moveEarlier = (at: number) => {
    const { name } = references.value[at];
    moveReference(at, at - 1);
    announcement.value = `${name} is reference ${at} now.`;
    requestAnimationFrame(() => {  // the focus goes along; the first chip has no such button
      const chip = list.current?.children[at - 1];
      (chip?.querySelector<HTMLElement>('.chip-earlier') ?? chip?.querySelector('button'))?.focus();
    });
  };
  return (
    <ul class="references" ref={list} aria-label="References" {...hears}>
      {references.value.map((r, i) => (
        <li class={`chip picture ${r.used ? '' : 'off'} ${held.value?.dragged && held.value.url === r.url ? 'held' : ''}`} key={r.url} data-url={r.url}>
          <button type="button" class="chip-use" aria-pressed={r.used} aria-label={`Reference ${i + 1}. ${r.name}`} onClick={() => switchReference(i)}
            title={`${r.name}: ${r.used ? 'press to leave it out' : 'left out, press to use it'}${references.value.length > 1 ? ', drag to move it' : ''}`}>
            <img src={r.url} alt="" draggable={false} />
            <span>{i + 1}. {r.name}</span>
          </button>
          {i > 0 && (
            <button type="button" class="chip-earlier" aria-label={`Move reference ${i + 1} forward`} title="Move forward" onClick={() => moveEarlier(i)}>
              <Icon name="earlier" size={13} />
            </button>
          )}
          <button type="button" aria-label={`Remove reference ${i + 1}`} title="Remove" onClick={() => removeReference(i)}><Icon name="close" size={13} /></button>
        </li>
      ))}
    </ul>
  );
}
