// What the next edit will be asked for.
import { computed, signal } from '@preact/signals';
import { api, asDataUrl } from './api';
import type { EditFields, Mode, Recipe, Size, Tokens } from './api';
import { tell } from './messages';
import { base, model, submit } from './store';
import { maskOf } from './mask_state';
import { remember } from './said';

export interface Reference { name: string; url: string; blob: Blob; width: number; height: number; used: boolean }

export const prompt = signal('');
export const seed = signal('');  // as typed; empty: drawn
export const steps = signal<number | null>(null);
export const guidance = signal<number | null>(null);
export const size = signal<Size | null>(null);  // null: as the picture
export const negative = signal('');
export const trueCfg = signal(1);
export const mode = signal<Mode>((localStorage.getItem('kontext.mode') as Mode) ?? 'default');
export const variants = signal(1);
export const references = signal<Reference[]>([]);
export const usedReferences = computed(() => references.value.filter(r => r.used));  // what is sent, in this order
export const fromPixels = signal(false);
export const tokens = signal<Tokens | null>(null);
export const sending = signal(false);

// Why no edit can be asked for; empty if one can.
export const hindrance = computed(() => model.value === null ? 'The server does not answer yet' : sending.value ? 'The edit is being sent'
  : prompt.value.trim().length === 0 ? 'Say first what shall change' : '');

export function setMode(value: Mode): void {
  mode.value = value;
  localStorage.setItem('kontext.mode', value);
}

let counting: ReturnType<typeof setTimeout> | undefined;
export function setPrompt(text: string): void {
  prompt.value = text;
  clearTimeout(counting);
  counting = setTimeout(async () => {
    try {
      tokens.value = text.trim() ? await api.tokens(text) : null;
    } catch {
      tokens.value = null;  // a counter is no reason for a message
    }
  }, 200);
}

// Whether the model takes one more; if not, it is said.
function anotherFits(): boolean {
  const most = (model.value?.limits.max_images ?? 8) - 1;
  if (usedReferences.value.length < most) return true;
  tell(`The model takes at most ${most} further pictures`, 'error');
  return false;
}

// True if all of them are references now.
export async function addReferences(files: Iterable<File>): Promise<boolean> {
  let all = true;
  for (const file of files) {
    if (!anotherFits()) return false;
    try {
      const bitmap = await createImageBitmap(file);
      const reference = { name: file.name, url: URL.createObjectURL(file), blob: file, width: bitmap.width, height: bitmap.height, used: true };
      bitmap.close();
      references.value = [...references.value, reference];
    } catch {
      tell(`${file.name} is no picture this browser can read`, 'error');
      all = false;
    }
  }
  return all;
}

export function switchReference(at: number): void {
  if (references.value[at].used || anotherFits())
    references.value = references.value.map((r, i) => (i === at ? { ...r, used: !r.used } : r));
}

export function moveReference(from: number, to: number): void {
  const others = references.value.filter((_, i) => i !== from);
  references.value = [...others.slice(0, to), references.value[from], ...others.slice(to)];
}

export function removeReference(at: number): void {
  URL.revokeObjectURL(references.value[at].url);
  references.value = references.value.filter((_, i) => i !== at);
}

export function clearReferences(): void {
  for (const r of references.value) URL.revokeObjectURL(r.url);
  references.value = [];
}

async function fields(): Promise<EditFields> {
  const out: EditFields = { prompt: prompt.value.trim(), n: variants.value, mode: mode.value };
  if (seed.value.trim()) out.seed = Number(seed.value);
  if (steps.value !== null) out.steps = steps.value;
  if (guidance.value !== null) out.guidance = guidance.value;
  if (size.value) Object.assign(out, size.value);
  if (trueCfg.value > 1 && negative.value.trim()) {
    out.true_cfg = trueCfg.value;
    out.negative = negative.value.trim();
  }
  if (!base.value) return out;
  if (usedReferences.value.length) out.images = await Promise.all(usedReferences.value.map(r => asDataUrl(r.blob)));
  const mask = maskOf(base.value.id);
  const png = mask && mask.keep ? await mask.png() : null;
  if (mask && png) {
    out.mask = await asDataUrl(png);
    out.feather = mask.feather;
  }
  if (fromPixels.value) out.from_pixels = true;
  return out;
}

export async function send(): Promise<void> {
  if (hindrance.value) return;
  sending.value = true;
  try {
    const words = prompt.value, wanted = await fields();
    if (await submit(wanted)) {
      remember(wanted.prompt);
      if (prompt.value === words) setPrompt('');  // else the next instruction is being written already
      seed.value = '';
    }
  } finally {
    sending.value = false;
  }
}

// Everything a picture was made with, for the next edit.
export function useRecipe(recipe: Recipe): void {
  setPrompt(recipe.prompt ?? '');
  seed.value = recipe.seed === undefined ? '' : String(recipe.seed);
  steps.value = recipe.steps ?? null;
  guidance.value = recipe.guidance ?? null;
  size.value = recipe.asked_size ? { width: recipe.asked_size[0], height: recipe.asked_size[1] } : null;
  negative.value = recipe.negative ?? '';
  trueCfg.value = recipe.true_cfg ?? 1;
  if (recipe.mode) setMode(recipe.mode);
}
