// The modes of an edit, and what each will take.
import type { FitRow, Mode, Size } from './api';
import { mode, size, steps } from './composer_state';
import { fit, measured, model } from './store';

// The share of exact's passes that a mode makes (docs/modes.md). Those of `default` are quicker ones: its time is a bound.
const PASSES: Record<Mode, number> = { exact: 1, default: 1, balanced: 0.5, fast: 0.25 };
export const MODES: { value: Mode; label: string; about: string }[] = [
  { value: 'exact', label: 'Exact', about: 'nothing is left out' },
  { value: 'default', label: 'Default', about: 'products and attention in 8 bits' },
  { value: 'balanced', label: 'Balanced', about: 'every other step is forecast' },
  { value: 'fast', label: 'Fast', about: 'three of four steps are forecast' },
];

// The rows of the measured size whose area is next to this one's.
function nearest(rows: FitRow[], wanted?: Size): FitRow[] {
  if (!wanted) return rows;
  const off = (r: FitRow) => Math.abs(Math.log((r.width * r.height) / (wanted.width * wanted.height)));
  const least = Math.min(...rows.map(off));
  return rows.filter(r => off(r) === least);
}

// What one edit will take: from fit if it was asked, else from the steps this server was seen to make. 0 while unknown.
export function predicted(which: Mode, count = 1): number {
  const m = model.value;
  if (!m) return 0;
  const asked = steps.value ?? m.default_steps;
  if (fit.value && fit.value !== 'asking') {
    const rows = nearest(fit.value.rows.filter(r => r.verdict !== 'no'), size.value ?? m.preferred_sizes[0]);
    const own = rows.find(r => r.mode === which), exact = rows.find(r => r.mode === 'exact');
    const seconds = own?.seconds_per_edit ?? (exact && exact.seconds_per_edit * PASSES[which]);
    if (seconds) return count * seconds * (asked / fit.value.steps);
  }
  return count * measured.value * asked * (PASSES[which] / PASSES[mode.value]);
}
