// The edit tree: a row a turn, branches side by side, only what is on screen in the page.
import { computed, signal } from '@preact/signals';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { api } from './api';
import { Icon } from './icons';
import { Picture, px } from './parts';
import { progressWords } from './running';
import { deleteTurn, nodes, pane, pinned, project, renameTurn, select, selected, undo } from './store';
import type { TreeNode } from './store';
import { layOut, visible } from './tree';
import type { Row } from './tree';

export const renaming = signal('');  // the key of the row whose name is being typed

const ROW = 68, LANE = 18, MARGIN = 18;
const nameOf = (node: TreeNode) => `${node.turn?.name ?? ''} ${node.turn?.recipe?.prompt ?? node.job?.edit.request.prompt ?? ''}`;
const sought = signal('');
const SEARCH_FROM = 12;  // turns: fewer are seen at once
const searched = computed(() => nodes.value.length >= SEARCH_FROM);
// What is looked for stands alone: a turn whose parent is not shown is laid out as a root.
const rows = computed(() => {
  const words = searched.value ? sought.value.trim().toLowerCase() : '';
  return layOut(words ? nodes.value.filter(n => nameOf(n).toLowerCase().includes(words)) : nodes.value);
});
const laneX = (lane: number) => MARGIN + Math.min(lane, 5) * LANE;
const rowY = (row: number) => row * ROW + ROW / 2;

function edge(row: Row<TreeNode>): string {
  const x0 = laneX(row.parentLane), y0 = rowY(row.parentRow), x1 = laneX(row.lane), y1 = rowY(row.row);
  if (x0 === x1) return `M${x0} ${y0}V${y1}`;
  return `M${x0} ${y0}V${y1 - 26}C${x0} ${y1 - 8} ${x0 + 4} ${y1} ${x1} ${y1}`;
}

function Edges({ first, last }: { first: number; last: number }) {
  const all = rows.value;
  const line = new Set<string>();
  for (let at = all.find(r => r.node.key === selected.value); at; at = all[at.parentRow]) line.add(at.node.key);
  const shown = all.filter(r => r.parentRow >= 0 && r.row >= first && r.parentRow < last);
  return (
    <svg class="tree-edges" width={laneX(6)} height={all.length * ROW} aria-hidden="true">
      {[false, true].map(lit => shown.filter(r => line.has(r.node.key) === lit).map(r => (
        <path key={r.node.key} d={edge(r)} class={`${lit ? 'lit' : ''} ${r.node.job ? 'growing' : ''}`} />
      )))}
      {all.slice(first, last).map(r => (
        <circle key={r.node.key} cx={laneX(r.lane)} cy={rowY(r.row)} r={r.node.key === selected.value ? 5 : 4}
          class={`${line.has(r.node.key) ? 'lit' : ''} ${r.node.job ? 'growing' : ''}`} />
      ))}
    </svg>
  );
}

function Name({ node }: { node: TreeNode }) {
  const turn = node.turn;
  const input = useRef<HTMLInputElement>(null);
  const editing = turn !== undefined && renaming.value === node.key;
  useEffect(() => {
    if (editing) input.current?.select();
  }, [editing]);
  if (!editing) return <span class="turn-name">{turn?.name ?? node.job?.edit.request.prompt ?? ''}</span>;
  const done = (keep: boolean) => {
    if (renaming.value !== node.key) return;
    renaming.value = '';
    if (keep && input.current) void renameTurn(turn, input.current.value);
  };
  return (
    <input ref={input} class="turn-rename" aria-label="Name of the turn" value={turn.name} maxLength={200} onBlur={() => done(true)}
      onClick={e => e.stopPropagation()}
      onKeyDown={e => {
        e.stopPropagation();
        if (e.key === 'Enter') done(true);
        if (e.key === 'Escape') done(false);
      }} />
  );
}

function status(node: TreeNode): string {
  if (node.job) return progressWords(node.job);
  const recipe = node.turn?.recipe;
  if (!node.turn?.parent) return recipe?.prompt ? 'Picture with a recipe' : 'Picture';
  return `Seed ${recipe?.seed ?? '?'}`;
}

function TurnRow({ row }: { row: Row<TreeNode> }) {
  const { node } = row, turn = node.turn, id = project.value!.id;
  const chosen = node.key === selected.value;
  const drifted = turn?.drift && turn.drift.psnr_db !== null && turn.drift.psnr_db < 24;
  return (
    <div role="treeitem" id={`row-${node.key}`} class={`turn ${chosen ? 'chosen' : ''} ${node.job ? 'pending' : ''}`} tabIndex={chosen ? 0 : -1}
      aria-level={row.depth + 1} aria-setsize={row.setSize} aria-posinset={row.position} aria-selected={chosen}
      style={{ transform: `translateY(${row.row * ROW}px)`, height: px(ROW), paddingLeft: px(laneX(row.lane) + 16) }}
      onClick={() => { select(node.key); pane.value = 'picture'; }} onDblClick={() => turn && (renaming.value = node.key)}>
      <span class="turn-thumb">
        {turn ? <Picture path={api.thumbnail(id, turn)} alt="" />
          : node.job?.preview ? <img src={node.job.preview} alt="" /> : <span class="turn-waiting" />}
        {node.job && <Ring done={node.job.progress ? node.job.progress.step / Math.max(1, node.job.progress.steps) : 0} />}
      </span>
      <span class="turn-words">
        <Name node={node} />
        <span class="unseen">, </span>
        <span class="turn-status">
          {status(node)}
          {row.children > 1 && <span class="unseen">, {row.children} branches</span>}
          {drifted && <span class="turn-drift" title={`Drifted: ${turn!.drift!.psnr_db!.toFixed(1)} dB from its root where nothing was edited`}>drift</span>}
          {turn?.recipe?.mask && <Icon name="brush" size={13} />}
          {turn?.id === pinned.value && <><Icon name="pin" size={13} /><span class="unseen">, others are compared with it</span></>}
        </span>
      </span>
    </div>
  );
}

function Ring({ done }: { done: number }) {
  return (
    <svg class="ring" viewBox="0 0 36 36" aria-hidden="true">
      <circle cx="18" cy="18" r="15" />
      <circle cx="18" cy="18" r="15" class="ring-done" stroke-dasharray={`${done * 94.2} 94.2`} transform="rotate(-90 18 18)" />
    </svg>
  );
}

export function TreePanel() {
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const all = rows.value;
  const measure = () => {
    const el = box.current;
    if (el) setView(v => (v.top === el.scrollTop && v.height === el.clientHeight ? v : { top: el.scrollTop, height: el.clientHeight }));
  };
  useLayoutEffect(() => {
    const watcher = new ResizeObserver(measure);
    if (box.current) watcher.observe(box.current);
    return () => watcher.disconnect();
  }, []);
  const chosenRow = all.findIndex(r => r.node.key === selected.value);
  useLayoutEffect(() => {
    const el = box.current;
    if (!el || chosenRow < 0) return;
    const top = chosenRow * ROW;
    if (top < el.scrollTop) el.scrollTop = top - ROW / 2;
    else if (top + ROW > el.scrollTop + el.clientHeight) el.scrollTop = top + ROW * 1.5 - el.clientHeight;
    measure();
  }, [chosenRow, all.length]);

  const focusChosen = () => requestAnimationFrame(() => document.getElementById(`row-${selected.value}`)?.focus());
  const go = (row: Row<TreeNode> | undefined) => {
    if (!row) return;
    select(row.node.key);
    focusChosen();
  };
  const onKeyDown = (e: KeyboardEvent) => {
    const at = all[chosenRow];
    if (!at) return;
    const moves: Record<string, () => Row<TreeNode> | undefined> = {
      ArrowDown: () => all[chosenRow + 1], ArrowUp: () => all[chosenRow - 1], ArrowLeft: () => all[at.parentRow],
      ArrowRight: () => all.find(r => r.parentRow === at.row), Home: () => all[0], End: () => all[all.length - 1],
    };
    if (moves[e.key]) go(moves[e.key]());
    else if (e.key === 'F2' && at.node.turn) renaming.value = at.node.key;
    else if ((e.key === 'Delete' || e.key === 'Backspace') && at.node.turn) void deleteTurn(at.node.turn).then(focusChosen);
    else if (e.key === 'z' && (e.ctrlKey || e.metaKey)) undo();
    else return;
    e.preventDefault();
  };
  const [first, last] = visible(all.length, ROW, view.top, view.height);
  return (
    <>
      {searched.value && (
        <input type="search" class="tree-search" aria-label="Find in the edits" placeholder="Find in the edits" value={sought.value}
          onInput={e => (sought.value = e.currentTarget.value)} />
      )}
      <div class="tree-scroll" ref={box} onScroll={measure}>
        {all.length === 0 ? <p class="empty">{sought.value ? 'No edit has these words.' : 'Every edit you make is kept here. Go back to any of them and take another way.'}</p> : (
          <div class="tree" role="tree" aria-label="Edits" style={{ height: px(all.length * ROW) }} onKeyDown={onKeyDown}>
            <Edges first={first} last={last} />
            {all.slice(first, last).map(r => <TurnRow key={r.node.key} row={r} />)}
          </div>
        )}
      </div>
    </>
  );
}
