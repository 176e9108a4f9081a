// The server's contract (docs/openapi.json), as far as the studio uses it.

export interface Size { width: number; height: number }

export interface Model {
  name: string;
  license?: string;
  fingerprint?: string;
  variant?: string;
  preferred_sizes: Size[];
  default_steps: number;
  default_guidance: number;
  t5_tokens?: number;
  examples: string[];
  version?: string;
  limits: { max_images: number; max_steps: number; max_body_bytes: number; max_prompt_bytes: number; multiple: number; min_side: number; max_side: number };
}

export interface Progress {
  stage: 'prompt' | 'references' | 'steps' | 'decode' | 'done' | 'review' | 'disk';
  picture: number;
  pictures: number;
  step: number;
  steps: number;
  seconds_per_step?: number;
  seconds_left: number;
  preview?: string;
}

export type Mode = 'exact' | 'default' | 'balanced' | 'fast';

export interface EditFields {
  prompt: string;
  seed?: number;
  n?: number;
  steps?: number;
  guidance?: number;
  true_cfg?: number;
  negative?: string;
  mode?: Mode;
  width?: number;
  height?: number;
  feather?: number;
  images?: string[];
  mask?: string;
  from_pixels?: boolean;
}

export interface Edit {
  id: string;
  state: 'queued' | 'running' | 'ready' | 'failed' | 'cancelled' | 'moderated';
  created: number;
  finished?: number;
  request: Omit<EditFields, 'images' | 'mask'> & { project?: string; turn?: number; images: number };
  position?: number;
  predicted_seconds?: number;
  progress?: Progress;
  images: { index: number; url: string; seed: number; width: number; height: number; seconds?: number }[];
  notes: string[];
  error?: { code: string; message: string };
}

// docs/recipe.md
export interface Recipe {
  prompt?: string;
  negative?: string;
  true_cfg?: number;
  seed?: number;
  steps?: number;
  guidance?: number;
  width?: number;
  height?: number;
  asked_size?: [number, number];
  mode?: Mode;
  model?: { name?: string; fingerprint?: string };
  references?: { file?: string; width?: number; height?: number; latents?: boolean }[];
  mask?: { feather_px?: number };
  version?: string;
  [field: string]: unknown;
}

// psnr_db is null where the pixels are equal.
export interface Drift { share: number; psnr_db: number | null; colour_shift: number; sharpness: number }

export interface Turn {
  id: number;
  parent: number;  // 0: a picture from elsewhere
  name: string;
  sha256: string;
  latents: boolean;
  recipe: Recipe | null;
  drift: Drift | null;
}

export interface ProjectInfo { id: string; name: string; turns: number; changed: number; cover: number }
export interface Deleted { deletion: number; turns: number[]; name: string }
export interface Project { id: string; name: string; turns: Turn[]; deleted: Deleted[] }

export interface Tokens { t5: { tokens: number; limit: number }; clip: { tokens: number; limit: number } }

export interface FitRow {
  mode: Mode;
  encoding: string;
  width: number;
  height: number;
  anonymous_bytes: number;
  weight_bytes: number;
  verdict: string;
  seconds_per_step: number;
  seconds_per_edit: number;
}
export interface Fit { model: string; machine: string; memory_bytes: number; error: number; steps: number; rows: FitRow[] }

export interface Review {
  id: string;
  created: number;
  prompt: string;
  negative: string;
  owner: string;
  inputs: string[];  // paths
  images: { index: number; url: string; seed: number; width: number; height: number }[];
}
export interface Decision { edit: string; approved: boolean; reason: string; reviewer: string; time: number }

// What the server said no to, or that it did not answer at all (status 0).
export class ApiError extends Error {
  constructor(readonly status: number, readonly code: string, message: string) {
    super(message);
  }
}

const KEY = 'kontext.key';

export function accessKey(): string {
  return sessionStorage.getItem(KEY) ?? '';
}

export function setAccessKey(key: string): void {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

function headers(more: Record<string, string> = {}): Record<string, string> {
  const key = accessKey();
  return key ? { ...more, Authorization: `Bearer ${key}` } : more;
}

async function failure(answer: Response): Promise<ApiError> {
  try {
    const { error } = await answer.json();
    return new ApiError(answer.status, error.code, error.message);
  } catch {
    return new ApiError(answer.status, 'http', `the server answered ${answer.status}`);
  }
}

async function ask(method: string, path: string, body?: unknown, more: Record<string, string> = {}): Promise<Response> {
  const raw = body instanceof Blob;
  const type: Record<string, string> =
    body === undefined ? {} : { 'Content-Type': raw ? 'application/octet-stream' : 'application/json' };
  let answer: Response;
  try {
    answer = await fetch(path, {
      method,
      headers: headers({ ...type, ...more }),
      body: body === undefined ? undefined : raw ? body : JSON.stringify(body),
    });
  } catch {
    throw new ApiError(0, 'offline', 'the server does not answer');
  }
  if (!answer.ok) throw await failure(answer);
  return answer;
}

async function json<T>(method: string, path: string, body?: unknown, more?: Record<string, string>): Promise<T> {
  return (await ask(method, path, body, more)).json() as Promise<T>;
}

const projectPath = (id: string) => `/v1/projects/${encodeURIComponent(id)}`;
const turnPath = (project: string, turn: number) => `${projectPath(project)}/turns/${turn}`;

// One key for one press of a button: a request that is sent again after a lost answer makes no second edit.
export const newIdempotencyKey = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), n => n.toString(16)).join('-');

export const api = {
  model: () => json<Model>('GET', '/v1/model'),
  fit: () => json<Fit>('GET', '/v1/fit'),
  tokens: (prompt: string) => json<Tokens>('POST', '/v1/tokens', { prompt }),
  projects: async () => (await json<{ projects: ProjectInfo[] }>('GET', '/v1/projects')).projects,
  createProject: (name: string) => json<Project>('POST', '/v1/projects', { name }),
  openProjectFile: (file: Blob, name: string) =>
    json<Project>('POST', `/v1/projects/files?name=${encodeURIComponent(name)}`, file),
  project: (id: string) => json<Project>('GET', projectPath(id)),
  renameProject: (id: string, name: string) => json<Project>('PATCH', projectPath(id), { name }),
  deleteProject: (id: string) => json<{ id: string }>('DELETE', projectPath(id)),
  restoreProject: (id: string) => json<Project>('POST', `${projectPath(id)}/restore`),
  projectFile: (id: string) => `${projectPath(id)}/file`,
  addPicture: (id: string, picture: Blob, name: string) =>
    json<Turn>('POST', `${projectPath(id)}/turns?name=${encodeURIComponent(name)}`, picture),
  renameTurn: (id: string, turn: number, name: string) => json<Turn>('PATCH', turnPath(id, turn), { name }),
  deleteTurn: (id: string, turn: number) => json<Deleted>('DELETE', turnPath(id, turn)),
  restoreTurns: (id: string, deletion: number) => json<Project>('POST', `${projectPath(id)}/deletions/${deletion}/restore`),
  purge: (id: string) => json<Project>('POST', `${projectPath(id)}/purge`),
  edit: (id: string, turn: number | null, fields: EditFields, key: string) =>
    json<Edit>('POST', turn === null ? `${projectPath(id)}/edits` : `${turnPath(id, turn)}/edits`, fields,
      { 'Idempotency-Key': key }),
  again: (id: string, turn: number, fields: { n?: number; seed?: number }, key: string) =>
    json<Edit>('POST', `${turnPath(id, turn)}/again`, fields, { 'Idempotency-Key': key }),
  edits: async () => (await json<{ edits: Edit[] }>('GET', '/v1/edits?limit=200')).edits,
  cancel: (edit: string) => json<Edit>('POST', `/v1/edits/${edit}/cancel`),
  reviews: async () => (await json<{ waiting: Review[] }>('GET', '/v1/review?limit=50')).waiting,
  decisions: async () => (await json<{ decisions: Decision[] }>('GET', '/v1/review/decisions?limit=200')).decisions,
  decide: (id: string, word: 'approve' | 'refuse', reason: string) => json<unknown>('POST', `/v1/review/${id}/${word}`, { reason }),
  blob: async (path: string) => (await ask('GET', path)).blob(),
  picture: (id: string, turn: Turn) => `${turnPath(id, turn.id)}/image?v=${turn.sha256.slice(0, 16)}`,
  thumbnail: (id: string, turn: { id: number; sha256: string }) =>
    `${turnPath(id, turn.id)}/thumbnail?v=${turn.sha256.slice(0, 16)}`,
  cover: (info: ProjectInfo) => `${turnPath(info.id, info.cover)}/thumbnail?v=${info.changed}`,
  mask: (id: string, turn: number) => `${turnPath(id, turn)}/mask`,
  reference: (id: string, turn: number, index: number) => `${turnPath(id, turn)}/references/${index}`,
};

// Server-sent events of one edit, by fetch: EventSource sends no key. Returns when the stream ends.
export async function watch(edit: string, on: (event: string, data: unknown) => void, signal: AbortSignal): Promise<void> {
  let answer: Response;
  try {
    answer = await fetch(`/v1/edits/${edit}/events`, { headers: headers(), signal });
  } catch {
    throw new ApiError(0, 'offline', 'the server does not answer');
  }
  if (!answer.ok || !answer.body) throw await failure(answer);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += value;
      const blocks = rest.split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) dispatch(block, on);
    }
  } catch {
    throw new ApiError(0, 'offline', 'the connection was lost');
  }
}

function dispatch(block: string, on: (event: string, data: unknown) => void): void {
  let event = '', data = '';
  for (const line of block.split('\n')) {
    if (line.startsWith('event: ')) event = line.slice(7);
    else if (line.startsWith('data: ')) data += line.slice(6);
  }
  if (event) on(event, JSON.parse(data));
}

export function asDataUrl(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error ?? new Error('the picture cannot be read'));
    reader.readAsDataURL(blob);
  });
}
