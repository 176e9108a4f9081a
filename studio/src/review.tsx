// The page /review: what waits until somebody has looked at it (kontext serve --review), and what was decided.
import { signal } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import { ApiError, api, setAccessKey } from './api';
import type { Decision, Review } from './api';
import { Icon, Logo } from './icons';
import { Button, Field, Picture, Segments } from './parts';
import { ago } from './words';

const LOOK_AGAIN_MS = 2000;

type State = 'starting' | 'up' | 'key' | 'lost';
const state = signal<State>('starting');
const waiting = signal<Review[]>([]);
const decisions = signal<Decision[] | undefined>(undefined);  // until they were asked for
const remark = signal('');

async function attempt(work: () => Promise<void>): Promise<void> {
  try {
    await work();
    state.value = 'up';
  } catch (error) {
    const status = error instanceof ApiError ? error.status : 0;
    state.value = status === 401 || status === 403 ? 'key' : status === 0 ? 'lost' : state.value;
    remark.value = error instanceof Error ? error.message : String(error);
  }
}

const look = () => attempt(async () => {
  const page = await api.reviews();
  // The same objects as before for the same edits, so that what is typed into a card stays.
  waiting.value = page.map(r => waiting.value.find(w => w.id === r.id) ?? r);
});
const lookBack = () => attempt(async () => void (decisions.value = await api.decisions()));

async function decide(review: Review, word: 'approve' | 'refuse', reason: string): Promise<void> {
  await attempt(async () => {
    try {
      await api.decide(review.id, word, reason);
      remark.value = word === 'approve' ? 'Approved' : 'Refused';
    } catch (error) {
      if (!(error instanceof ApiError) || (error.status !== 409 && error.status !== 404)) throw error;
      remark.value = 'Another reviewer was faster, or its owner took it back';
    }
    waiting.value = waiting.value.filter(w => w.id !== review.id);
    document.querySelector<HTMLElement>('.review-card')?.focus();
  });
  await look();
}

function Figures({ label, paths, prompt }: { label: string; paths: string[]; prompt: string }) {
  return (
    <div class="review-figures" role="group" aria-label={label}>
      {paths.map((path, i) => (
        <figure key={path}>
          <Picture path={path} alt={`${label} ${i + 1}: ${prompt}`} />
          <figcaption>{paths.length > 1 ? `${label} ${i + 1}` : label}</figcaption>
        </figure>
      ))}
    </div>
  );
}

function Card({ review }: { review: Review }) {
  const [reason, setReason] = useState('');
  const [busy, setBusy] = useState(false);
  const press = async (word: 'approve' | 'refuse') => {
    setBusy(true);
    await decide(review, word, reason);
    setBusy(false);
  };
  const keys = (e: KeyboardEvent) => {
    if ((e.target as Element).tagName === 'INPUT' || e.ctrlKey || e.metaKey || e.altKey || busy) return;
    if (e.key === 'a') void press('approve');
    else if (e.key === 'r') void press('refuse');
  };
  const sizes = [...new Set(review.images.map(i => `${i.width} × ${i.height}`))].join(', ');
  return (
    <li class="review-card" tabIndex={-1} onKeyDown={keys}>
      <div class="review-pictures">
        {review.inputs.length > 0 && <Figures label="Made from" paths={review.inputs} prompt={review.prompt} />}
        {review.inputs.length > 0 && <span class="review-arrow" aria-hidden="true">→</span>}
        <Figures label="Result" paths={review.images.map(i => i.url)} prompt={review.prompt} />
      </div>
      <div class="review-words">
        <p class="review-prompt">{review.prompt || '(no words)'}</p>
        {review.negative && <p class="muted">without: {review.negative}</p>}
        <p class="muted">{ago(review.created)} · {sizes}{review.owner && ` · key ${review.owner.slice(0, 8)}`}</p>
        <Field label="Reason of a refusal, told to who asked">
          <input value={reason} maxLength={300} onInput={e => setReason(e.currentTarget.value)} />
        </Field>
        <div class="actions">
          <Button icon="check" label="Approve" kind="primary" disabled={busy} onClick={() => void press('approve')}>Approve</Button>
          <Button icon="close" label="Refuse" kind="danger" disabled={busy} onClick={() => void press('refuse')}>Refuse</Button>
        </div>
      </div>
    </li>
  );
}

function Decided() {
  useEffect(() => void lookBack(), []);
  if (!decisions.value?.length) return <p class="empty" role="status">{decisions.value ? 'Nothing was decided yet.' : 'Starting…'}</p>;
  return (
    <table class="review-table">
      <thead><tr><th scope="col">When</th><th scope="col">Decision</th><th scope="col">Reason</th><th scope="col">Edit</th><th scope="col">Reviewer</th></tr></thead>
      <tbody>
        {decisions.value.map(d => (
          <tr key={d.edit}>
            <td>{new Date(d.time * 1000).toLocaleString()}</td>
            <td class={d.approved ? 'good' : 'bad'}>{d.approved ? 'Approved' : 'Refused'}</td>
            <td>{d.reason}</td><td><code>{d.edit.slice(0, 12)}</code></td><td><code>{d.reviewer.slice(0, 8) || 'local'}</code></td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Key() {
  const [key, setKey] = useState('');
  const enter = (e: Event) => {
    e.preventDefault();
    setAccessKey(key);
    void look();
  };
  return (
    <form class="welcome" aria-label="Key" onSubmit={enter}>
      <h1>Reviewing asks for a reviewer's key</h1>
      <p>{remark.value}. It is kept in this tab only.</p>
      <input type="password" class="key" aria-label="Key" value={key} onInput={e => setKey(e.currentTarget.value)} autocomplete="off" />
      <button class="button primary" type="submit" disabled={!key}>Enter</button>
    </form>
  );
}

export function ReviewPage() {
  const [tab, setTab] = useState<'waiting' | 'decided'>('waiting');
  useEffect(() => {
    document.title = 'kontext review';
    void look();
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible' && state.value !== 'key') void look();
    }, LOOK_AGAIN_MS);
    return () => clearInterval(timer);
  }, []);
  if (state.value === 'key') return <main><Key /></main>;
  const count = waiting.value.length;
  return (
    <div class="review">
      <header class="topbar">
        <a class="brand" href="/" aria-label="kontext: to the studio"><Logo /><span class="wordmark">kontext</span></a>
        <h1>Review</h1>
        <Segments label="What to show" value={tab} onChange={setTab}
          options={[{ value: 'waiting', label: `Waiting · ${count}` }, { value: 'decided', label: 'Decided' }]} />
        <span class="spring" />
        {tab === 'waiting' && <p class="muted review-keys">On a chosen card: <kbd>A</kbd> approves, <kbd>R</kbd> refuses</p>}
      </header>
      {state.value === 'lost' && <p class="banner" role="status"><Icon name="warn" size={16} />The server does not answer. What waits is kept.</p>}
      <main class="review-scroll">
        {tab === 'decided' ? <Decided /> : count > 0
          ? <ul class="review-list">{waiting.value.map(r => <Card key={r.id} review={r} />)}</ul>
          : <p class="empty" role="status">{state.value === 'starting' ? 'Starting…' : 'Nothing waits for a review.'}</p>}
      </main>
      <p class="unseen" aria-live="polite">{remark.value}</p>
    </div>
  );
}
