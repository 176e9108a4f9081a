// The picture in the middle: as it is, against an earlier one, or as it comes.
import { computed, signal } from '@preact/signals';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { api } from './api';
import type { Turn } from './api';
import { Button, Segments, px, useSource } from './parts';
import { MaskLayer, MaskTools } from './mask';
import { maskOf, maskOpen } from './mask_state';
import { difference } from './pixels';
import { tell } from './messages';
import { base, cancel, current, pinned, project, rootOf } from './store';
import type { Job } from './store';
import { duration, short } from './words';
import { WHOLE, useGestures, zoom } from './zoom';

export type View = 'picture' | 'slider' | 'sides' | 'difference';
export const view = signal<View>('picture');
export const against = signal<'parent' | 'root' | 'pinned'>('parent');
export const peek = signal(false);  // the earlier picture, as long as a key or button is held

// The one that others are held against, unless it is the one that is looked at.
const pinnedTurn = computed<Turn | undefined>(() => {
  const turn = project.value?.turns.find(t => t.id === pinned.value);
  return turn && turn.id !== base.value?.id ? turn : undefined;
});

// Holds the turns that are chosen from now on against this one; said twice, no longer.
export function pin(turn: Turn): void {
  const on = pinned.value !== turn.id;
  pinned.value = on ? turn.id : 0;
  against.value = on ? 'pinned' : 'parent';
  if (on && view.value === 'picture') view.value = 'slider';
  tell(on ? `Choose another turn: it is compared with “${turn.name}”.` : 'Turns are compared with the one before again.');
}

const earlier = computed<Turn | undefined>(() => {
  const turn = base.value, other = pinnedTurn.value;
  if (turn && other && against.value === 'pinned') return other;
  if (!turn?.parent) return undefined;
  return against.value === 'root' ? rootOf(turn) : project.value?.turns.find(t => t.id === turn.parent);
});

// The turn that the chosen one is held against at the moment.
export const comparedWith = computed(() => (view.value === 'picture' || maskOpen.value || current.value?.job ? undefined : earlier.value));

interface Loaded { url: string; width: number; height: number }

function useLoaded(path: string | undefined): Loaded | undefined {
  const source = useSource(path);
  const [loaded, setLoaded] = useState<Loaded>();
  useEffect(() => {
    if (!source) {
      setLoaded(undefined);
      return;
    }
    let gone = false;
    const image = new Image();
    image.onload = () => !gone && setLoaded({ url: source, width: image.naturalWidth, height: image.naturalHeight });
    image.src = source;
    return () => void (gone = true);
  }, [source]);
  return loaded;
}

// The largest box of that aspect inside the element.
function useFit(aspect: number) {
  const ref = useRef<HTMLDivElement>(null);
  const [room, setRoom] = useState({ width: 0, height: 0 });
  useLayoutEffect(() => {
    const watcher = new ResizeObserver(([entry]) => setRoom({ width: entry.contentRect.width, height: entry.contentRect.height }));
    if (ref.current) watcher.observe(ref.current);
    return () => watcher.disconnect();
  }, []);
  const width = Math.floor(Math.min(room.width, room.height * aspect));
  return { ref, box: { width, height: Math.floor(width / aspect) } };
}

// Whose picture is whose: a pinned turn is neither before nor after the other.
function Corners({ left, right }: { left: string; right: string }) {
  return (
    <>
      <span class="corner left" aria-hidden="true">{left}</span>
      <span class="corner right" aria-hidden="true">{right}</span>
    </>
  );
}

function Slider({ before, after }: { before: Loaded; after: Loaded }) {
  const [at, setAt] = useState(50);
  return (
    <div class="slider">
      <img src={after.url} alt="After" draggable={false} />
      <img src={before.url} alt="Before" draggable={false} style={{ clipPath: `inset(0 ${100 - at}% 0 0)` }} />
      <span class="slider-line" style={{ left: `${at}%` }} aria-hidden="true"><i /></span>
      <input type="range" min={0} max={100} step={0.5} value={at} aria-label="How much of the earlier picture is shown"
        onInput={e => setAt(e.currentTarget.valueAsNumber)} />
    </div>
  );
}

async function pixelsOf(picture: Loaded, width: number, height: number): Promise<Uint8ClampedArray> {
  const image = new Image();
  image.src = picture.url;
  await image.decode();
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d', { willReadFrequently: true })!;
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

const GLOW: [number, number, number] = [255, 122, 89];

function Difference({ before, after }: { before: Loaded; after: Loaded }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [words, setWords] = useState('');
  useEffect(() => {
    let gone = false;
    const scale = Math.min(1, 1600 / Math.max(after.width, after.height));  // enough for a screen
    const width = Math.round(after.width * scale), height = Math.round(after.height * scale);
    void Promise.all([pixelsOf(before, width, height), pixelsOf(after, width, height)]).then(([b, a]) => {
      const target = canvas.current;
      if (gone || !target) return;
      const d = difference(b, a, GLOW);
      target.width = width;
      target.height = height;
      target.getContext('2d')!.putImageData(new ImageData(d.data, width, height), 0, 0);
      setWords(`${(100 * d.changed).toFixed(d.changed < 0.1 ? 1 : 0)} % of the pixels changed visibly; ${d.mean.toFixed(1)} levels in the mean`);
    });
    return () => void (gone = true);
  }, [before.url, after.url]);
  return (
    <>
      <canvas ref={canvas} class="fill" role="img" aria-label={`What changed: ${words}`} />
      <span class="corner left words">{words}</span>
    </>
  );
}

function stageWords(job: Job): string {
  const p = job.progress;
  if (!p) return job.position ? `${job.position} edit${job.position > 1 ? 's' : ''} in front of this one` : 'Waiting for the engine';
  if (p.stage === 'prompt') return 'Reading the instruction';
  if (p.stage === 'references') return 'Looking at the picture';
  if (p.stage === 'decode') return 'Finishing the picture';
  if (p.stage === 'review') return 'Done; a reviewer looks at it first';
  if (p.stage === 'disk') return 'The server’s disk is full';
  return `Step ${p.step} of ${p.steps}`;
}

function Growing({ job, under }: { job: Job; under: Loaded | undefined }) {
  const p = job.progress;
  const left = p?.seconds_left || job.predicted || 0;
  const share = p ? (p.picture + p.step / Math.max(1, p.steps)) / Math.max(1, p.pictures) : 0;
  return (
    <>
      {under && <img class="fill" src={under.url} alt="" />}
      {job.preview && <img class="fill preview" src={job.preview} alt="Preview of the edit as it is made" />}
      <div class="job-card" role="group" aria-label="The running edit">
        <div class="job-words">
          <strong>{stageWords(job)}</strong>
          <span>
            {p && p.pictures > 1 ? `picture ${p.picture + 1} of ${p.pictures} · ` : ''}
            {p?.stage === 'review' ? 'it is shown once it is approved' : p?.stage === 'disk' ? 'nothing is lost; it goes on when there is room' : left > 0 ? `about ${duration(left)} left` : 'time not known yet'}
          </span>
        </div>
        <Button icon="stop" label="Cancel" kind="plain" onClick={() => void cancel(job)}>Cancel</Button>
        <progress max={1} value={p ? share : undefined} aria-label="How far the edit is" />
      </div>
    </>
  );
}

export function Viewer() {
  const node = current.value, turn = base.value, id = project.value?.id;
  const after = useLoaded(id && turn ? api.picture(id, turn) : undefined);
  const other = earlier.value;
  const before = useLoaded(id && other ? api.picture(id, other) : undefined);
  const job = node?.job;
  const comparing = !job && !maskOpen.value && before !== undefined && other !== undefined;
  const how: View = comparing ? (peek.value ? 'picture' : view.value) : 'picture';
  const shown = peek.value && comparing ? before : after;
  const sides = how === 'sides';
  const labels = turn && other && other === pinnedTurn.value ? { left: other.name, right: turn.name } : { left: 'Before', right: 'After' };
  const aspect = shown ? (sides ? 2.04 : 1) * (shown.width / shown.height) : 1;
  const { ref, box } = useFit(aspect);
  useGestures(ref, box, () => turn && maskOf(turn.id)?.drop());
  const { scale, x, y } = zoom.value;
  const frame = { width: px(box.width), height: px(box.height), transform: scale > 1 ? `translate(${x}px, ${y}px) scale(${scale})` : undefined };
  return (
    <section class="viewer" aria-label="Picture">
      <div class="viewer-bar">
        {maskOpen.value && turn && after ? <MaskTools turn={turn} picture={after} /> : (
          <>
            <Segments<View> label="View" value={how} onChange={v => (view.value = v)} options={[
              { value: 'picture', label: 'Picture', icon: 'picture' },
              { value: 'slider', label: 'Slider', icon: 'split', disabled: !comparing },
              { value: 'sides', label: 'Side by side', icon: 'columns', disabled: !comparing },
              { value: 'difference', label: 'Difference', icon: 'heat', disabled: !comparing },
            ]} />
            {comparing && (
              <Segments label="Compare with" value={against.value} onChange={v => (against.value = v)} options={[
                ...(turn?.parent ? [{ value: 'parent', label: 'Last turn' }, { value: 'root', label: 'Original' }] as const : []),
                ...(pinnedTurn.value ? [{ value: 'pinned', label: short(pinnedTurn.value.name), icon: 'pin' }] as const : []),
              ]} />
            )}
            {scale > 1 && <Button icon="target" label="Show all of it" onClick={() => (zoom.value = WHOLE)}>{Math.round(100 * scale)} %</Button>}
          </>
        )}
      </div>
      <div class={`viewer-room ${scale > 1 ? 'closer' : ''}`} ref={ref}>
        {shown && box.width > 0 && (
          <div class={`frame ${sides ? 'two' : ''} ${shown.width * 2 <= box.width ? 'enlarged' : ''}`} style={frame}>
            {job ? <Growing job={job} under={after} />
              : how === 'slider' ? <><Slider before={before!} after={shown} /><Corners {...labels} /></>
              : how === 'difference' ? <Difference before={before!} after={shown} />
              : sides ? <><img src={before!.url} alt={`Before: ${other!.name}`} /><img src={shown.url} alt={`After: ${turn!.name}`} /><Corners {...labels} /></>
              : <img class="fill" src={shown.url} alt={peek.value && other ? other.name : turn!.name} draggable={false} />}
            {maskOpen.value && turn && after && !job && <MaskLayer turn={turn} picture={after} box={box} />}
          </div>
        )}
        {!shown && job && (
          <div class="frame blank" style={{ width: px(box.width), height: px(box.height) }}><Growing job={job} under={undefined} /></div>
        )}
      </div>
    </section>
  );
}
