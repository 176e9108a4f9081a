import { useEffect, useRef, useState } from 'preact/hooks';
import { Composer } from './composer';
import { Details } from './details';
import { Icon } from './icons';
import { maskOpen, masksOf } from './mask_state';
import { Button } from './parts';
import { Settings } from './settings';
import { announcement, dismiss, toasts } from './messages';
import {
  base, cancel, connection, current, jobs, lookAgain, model, nodes, pane, project, select, selected, start, takeFiles, undo, useKey,
} from './store';
import { TopBar, settingsOpen } from './topbar';
import { TreePanel } from './tree_panel';
import { Variants } from './variants';
import { Viewer, peek, pin, view } from './viewer';
import type { View } from './viewer';
import { WHOLE, kept, zoom } from './zoom';

function Welcome() {
  const files = useRef<HTMLInputElement>(null);
  const sample = async () => {
    const blob = await (await fetch('/sample.png')).blob();
    await takeFiles([new File([blob], 'A cat.png', { type: 'image/png' })]);
  };
  return (
    <section class="welcome" aria-label="Begin">
      <svg class="welcome-art" viewBox="0 0 220 120" aria-hidden="true">
        <path d="M40 60h38M78 60c22 0 14-34 44-34h20M78 60c22 0 14 34 44 34M158 94c9 0 5-22 14-22" />
        <rect x="14" y="40" width="40" height="40" rx="9" /><rect x="122" y="8" width="36" height="36" rx="8" />
        <rect x="122" y="76" width="36" height="36" rx="8" class="lit" /><rect x="172" y="54" width="36" height="36" rx="8" class="lit solid" />
      </svg>
      <h2>Drop a picture, say what shall change</h2>
      <p>Every edit becomes a turn of a tree: keep what works, go back, take another way. All of it stays on this machine.</p>
      <input type="file" ref={files} hidden multiple accept="image/png,image/jpeg,image/webp,.kontext" aria-label="Choose a picture"
        onChange={e => void takeFiles([...(e.currentTarget.files ?? [])])} />
      <div class="actions">
        <Button icon="picture" label="Choose a picture" kind="primary" onClick={() => files.current?.click()}>Choose a picture</Button>
        <Button icon="wand" label="Try the sample" onClick={() => void sample()}>Try the sample</Button>
      </div>
      <p class="muted"><span class="by-mouse">or paste one with Ctrl V; </span>.kontext files open as projects</p>
    </section>
  );
}

function Toasts() {
  return (
    <section class="toasts" aria-label="Messages">
      {toasts.value.map(t => (
        <div key={t.id} class={`toast ${t.kind}`}>
          <Icon name={t.kind === 'error' ? 'warn' : 'info'} size={16} />
          <span>{t.message}</span>
          {t.action && <Button label={t.action.label} kind="quiet" onClick={() => { t.action!.run(); dismiss(t.id); }}>{t.action.label}</Button>}
          <Button icon="close" label="Dismiss" kind="quiet" onClick={() => dismiss(t.id)} />
        </div>
      ))}
    </section>
  );
}

function KeyGate() {
  const [key, setKey] = useState('');
  return (
    <form class="welcome" aria-label="Key" onSubmit={e => { e.preventDefault(); void useKey(key); }}>
      <h1>This server asks for a key</h1>
      <p>It is kept in this tab only.</p>
      <input type="password" class="key" aria-label="Key" value={key} onInput={e => setKey(e.currentTarget.value)} autocomplete="off" />
      <button class="button primary" type="submit" disabled={!key}>Enter</button>
    </form>
  );
}

function closer(by: number): void {
  const box = document.querySelector('.viewer-room .frame');
  if (box instanceof HTMLElement) zoom.value = kept({ scale: zoom.value.scale * by, x: zoom.value.x * by, y: zoom.value.y * by }, { width: box.offsetWidth, height: box.offsetHeight });
}

function usePageKeys(): void {
  useEffect(() => {
    const typing = (e: Event) => /^(INPUT|TEXTAREA|SELECT)$/.test((e.target as Element).tagName) || settingsOpen.value;
    const views: Record<string, View> = { 1: 'picture', 2: 'slider', 3: 'sides', 4: 'difference' };
    const down = (e: KeyboardEvent) => {
      if (e.key === 'Escape') {
        const job = current.value?.job;
        if (maskOpen.value) maskOpen.value = false;
        else if (job && !typing(e)) void cancel(job);
        return;
      }
      if (typing(e)) return;
      if ((e.ctrlKey || e.metaKey) && e.key === 'z' && !e.defaultPrevented) undo();
      else if (e.ctrlKey || e.metaKey || e.altKey) return;
      else if (views[e.key]) view.value = views[e.key];
      else if (e.key === 'b') peek.value = true;
      else if (e.key === 'm' && base.value && !current.value?.job) maskOpen.value = !maskOpen.value;
      else if (e.key === 'c' && current.value?.turn) pin(current.value.turn);
      else if (e.key === '+' || e.key === '-') closer(e.key === '+' ? 1.5 : 1 / 1.5);
      else if (e.key === '0') zoom.value = WHOLE;
      else if (e.key === '/') document.getElementById('instruction')?.focus();
      else return;
      e.preventDefault();
    };
    const up = (e: KeyboardEvent) => e.key === 'b' && (peek.value = false);
    document.addEventListener('keydown', down);
    document.addEventListener('keyup', up);
    return () => {
      document.removeEventListener('keydown', down);
      document.removeEventListener('keyup', up);
    };
  }, []);
}

// Pictures may be dropped anywhere, and pasted.
function useDrops(): boolean {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const drag = (e: DragEvent) => {
      if (!e.dataTransfer?.types.includes('Files')) return;
      e.preventDefault();
      setOver(true);
    };
    const leave = (e: DragEvent) => !e.relatedTarget && setOver(false);
    const drop = (e: DragEvent) => {
      e.preventDefault();
      setOver(false);
      void takeFiles([...(e.dataTransfer?.files ?? [])]);
    };
    const paste = (e: ClipboardEvent) => {
      const files = [...(e.clipboardData?.files ?? [])];
      if (files.length) void takeFiles(files);
    };
    document.addEventListener('dragover', drag);
    document.addEventListener('dragleave', leave);
    document.addEventListener('drop', drop);
    document.addEventListener('paste', paste);
    return () => {
      document.removeEventListener('dragover', drag);
      document.removeEventListener('dragleave', leave);
      document.removeEventListener('drop', drop);
      document.removeEventListener('paste', paste);
    };
  }, []);
  return over;
}

export function App() {
  const dropping = useDrops();
  usePageKeys();
  useEffect(() => {
    void start();
    document.addEventListener('visibilitychange', lookAgain);
    return () => document.removeEventListener('visibilitychange', lookAgain);
  }, []);
  masksOf(project.value?.id ?? '');
  useEffect(() => void (maskOpen.value = false), [selected.value]);
  const empty = nodes.value.length === 0;
  const files = useRef<HTMLInputElement>(null);
  if (connection.value === 'key') return <main><KeyGate /></main>;
  return (
    <div class="app" data-pane={pane.value}>
      <TopBar />
      {connection.value === 'lost' && (
        <p class="banner" role="status"><Icon name="warn" size={16} />The server does not answer. Accepted edits are kept; this page goes on when it is back.</p>
      )}
      <main class="panes">
        <nav class="tree-panel" aria-label="Edit tree">
          <div class="panel-head">
            <h2>Edits</h2>
            <input type="file" ref={files} hidden multiple accept="image/png,image/jpeg,image/webp" aria-label="Add a picture"
              onChange={e => { void takeFiles([...(e.currentTarget.files ?? [])]); e.currentTarget.value = ''; }} />
            <Button icon="plus" label="Add a picture" kind="quiet" onClick={() => files.current?.click()} />
            {base.value && !current.value?.job && <Button icon="wand" label="Draw from words alone" kind="quiet" onClick={() => select('')} />}
          </div>
          <TreePanel />
        </nav>
        <div class="stage">
          {connection.value === 'starting' ? <p class="empty" role="status">Starting…</p>
            : !empty && (base.value || current.value?.job) ? <><Viewer /><Variants /></> : <Welcome />}
          {model.value && <Composer />}
        </div>
        <section class="side" aria-label="Details"><div class="panel-head"><h2>Details</h2></div><Details /></section>
      </main>
      <nav class="tabs" aria-label="Panes">
        {([['picture', 'Picture', 'picture'], ['tree', 'Edits', 'tree'], ['details', 'Details', 'info']] as const).map(([name, label, icon]) => (
          <button type="button" key={name} aria-pressed={pane.value === name} onClick={() => (pane.value = name)}>
            <Icon name={icon} /><span>{label}{name === 'tree' && jobs.value.length > 0 ? ` · ${jobs.value.length}` : ''}</span>
          </button>
        ))}
      </nav>
      <Settings />
      <Toasts />
      <p class="unseen" aria-live="polite">{announcement.value}</p>
      {dropping && <div class="dropping" aria-hidden="true"><span>Drop to begin with this picture</span></div>}
    </div>
  );
}
