// What this machine can do, how the studio looks, and the keys that work it.
import { useEffect } from 'preact/hooks';
import type { FitRow } from './api';
import { mode, setMode } from './composer_state';
import { MODES, predicted } from './modes';
import { Dialog, Segments } from './parts';
import { askFit, fit, model } from './store';
import { setTheme, theme } from './theme';
import { settingsOpen } from './topbar';
import { bytes, duration } from './words';

const VERDICTS: Record<string, string> = { fits: 'fits in memory', streams: 'streams from disk', no: 'does not fit' };

function FitTable() {
  const table = fit.value;
  if (table === 'asking' || table === null) return <p class="muted" role="status">Measuring this machine, some seconds…</p>;
  return (
    <>
      <p class="muted machine">{table.machine}, {bytes(table.memory_bytes)} of memory. Times for {table.steps} steps, ±{Math.round(100 * table.error)} %.</p>
      <Times rows={table.rows} />
      <details class="all-rows">
        <summary>Every format of the weights, with memory and steps</summary>
        <FitRows rows={table.rows} />
      </details>
    </>
  );
}

// One line a size: what an edit takes in each mode, with the weights as they are or else as the mode makes them (fit lists these first).
function Times({ rows }: { rows: FitRow[] }) {
  const sizes = rows.filter((r, at) => rows.findIndex(o => o.width === r.width && o.height === r.height) === at);
  return (
    <div class="table" tabIndex={0} role="region" aria-label="What this machine can run">
      <table>
        <thead><tr><th scope="col">Size</th>{MODES.map(m => <th scope="col" key={m.value}>{m.label}</th>)}<th scope="col">Memory</th></tr></thead>
        <tbody>
          {sizes.map(s => {
            const cells = MODES.map(m => rows.find(r => r.mode === m.value && r.width === s.width && r.height === s.height));
            return (
              <tr key={`${s.width}x${s.height}`}>
                <th scope="row">{s.width} × {s.height}</th>
                {cells.map((r, i) => <td key={i}>{r && <span class={`verdict ${r.verdict}`} title={VERDICTS[r.verdict]}>
                  {r.verdict === 'no' ? VERDICTS.no : duration(r.seconds_per_edit)}{r.verdict === 'streams' && ', streamed'}</span>}</td>)}
                <td>{bytes(Math.max(...cells.map(r => r?.anonymous_bytes ?? 0)))}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function FitRows({ rows }: { rows: FitRow[] }) {
  return (
    <div class="table" tabIndex={0} role="region" aria-label="Every format of the weights">
      <table>
        <thead><tr><th scope="col">Mode</th><th scope="col">Size</th><th scope="col">Weights</th><th scope="col">Memory</th><th scope="col">A step</th><th scope="col">An edit</th><th scope="col">Here</th></tr></thead>
        <tbody>
          {rows.map((r, i) => (
            <tr key={i}>
              <th scope="row">{r.mode}</th><td>{r.width} × {r.height}</td><td>{bytes(r.weight_bytes)}, {r.encoding}</td><td>{bytes(r.anonymous_bytes)}</td>
              <td>{duration(r.seconds_per_step)}</td><td>{duration(r.seconds_per_edit)}</td>
              <td><span class={`verdict ${r.verdict}`}>{VERDICTS[r.verdict] ?? r.verdict}</span></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const KEYS: [string, string][] = [
  ['Enter', 'edit'], ['Shift Enter', 'a new line'], ['/', 'to the instruction'], ['↑ ↓', 'turn before, turn after'], ['← →', 'parent, first child'],
  ['F2', 'rename'], ['Delete', 'delete'], ['Ctrl Z', 'undo a deletion'], ['1 2 3 4', 'picture, slider, side by side, difference'],
  ['hold B', 'the picture before'], ['C', 'compare others with this turn'], ['+ - 0', 'closer, farther, all of it'], ['M', 'mask'], ['hold Alt', 'take away from the mask'], ['Escape', 'cancel, close'],
];

export function Settings() {
  const open = settingsOpen.value, m = model.value;
  useEffect(() => {
    if (open) void askFit();
  }, [open]);
  return (
    <Dialog title="Settings" open={open} onClose={() => (settingsOpen.value = false)} wide>
      <section>
        <h3>Look</h3>
        <Segments label="Colours" value={theme.value} onChange={setTheme} options={[
          { value: 'system', label: 'As the system' }, { value: 'dark', label: 'Dark' }, { value: 'light', label: 'Light' }]} />
      </section>
      <section>
        <h3>Mode</h3>
        <div class="mode-cards">
          {MODES.map(o => (
            <button type="button" key={o.value} class="mode-card" aria-pressed={mode.value === o.value} onClick={() => setMode(o.value)}>
              <strong>{o.label}</strong><span>{o.about}</span>
              <span class="mode-time">{predicted(o.value) > 0 ? `${o.value === 'default' ? '≤' : '≈'} ${duration(predicted(o.value))} an edit` : 'not measured'}</span>
            </button>
          ))}
        </div>
      </section>
      <section>
        <h3>This machine</h3>
        <FitTable />
      </section>
      <section>
        <h3>Model</h3>
        <dl class="facts">
          <div class="fact"><dt>Name</dt><dd>{m?.name}</dd></div>
          <div class="fact"><dt>Kind</dt><dd>{m?.variant}</dd></div>
          <div class="fact"><dt>Licence</dt><dd>{m?.license}</dd></div>
          <div class="fact"><dt>Fingerprint</dt><dd>{m?.fingerprint}</dd></div>
          <div class="fact"><dt>Program</dt><dd>kontext {m?.version}</dd></div>
        </dl>
      </section>
      <section>
        <h3>Keys</h3>
        <dl class="keys">{KEYS.map(([key, what]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div>)}</dl>
      </section>
    </Dialog>
  );
}
