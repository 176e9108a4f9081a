// Instructions that were given before, in this browser: the arrow keys bring them back.
import { signal } from '@preact/signals';

const MOST = 50;
const KEY = 'kontext.said';

function stored(): string[] {
  try {
    const list: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(list) ? list.filter((s): s is string => typeof s === 'string').slice(0, MOST) : [];
  } catch {
    return [];
  }
}

export const said = signal(stored());  // the last one first

export function remember(words: string): void {
  said.value = [words, ...said.value.filter(s => s !== words)].slice(0, MOST);
  localStorage.setItem(KEY, JSON.stringify(said.value));
}

export function forgetSaid(): void {
  said.value = [];
  localStorage.removeItem(KEY);
}

// From what is in the field, `steps` back in time or (below 0) forth; undefined where the field holds words of its own.
export function recalled(words: string, steps: number): string | undefined {
  const at = words === '' ? -1 : said.value.indexOf(words);
  if (words !== '' && at < 0) return undefined;
  const next = at + steps;
  return next < -1 || next >= said.value.length ? undefined : next === -1 ? '' : said.value[next];
}
