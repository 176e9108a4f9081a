// What the studio knows, as signals, and everything that changes it. The server is the truth: after a reload, a lost connection or
// a crash of either side the same project with the same running edits comes back.
import { computed, signal } from '@preact/signals';
import { ApiError, api, newIdempotencyKey, setAccessKey, watch } from './api';
import type { Edit, EditFields, Fit, Model, Progress, Project, ProjectInfo, Turn } from './api';
import { announcement, tell } from './messages';
import { nameFrom } from './words';

export interface Job { edit: Edit; progress?: Progress; preview?: string; position?: number; predicted?: number }

// A row of the tree: a turn of the file, or an edit that is not finished.
export interface TreeNode { key: string; parent: string | null; turn?: Turn; job?: Job }

export const model = signal<Model | null>(null);
export const projects = signal<ProjectInfo[]>([]);
export const project = signal<Project | null>(null);
export const jobs = signal<Job[]>([]);
export const selected = signal('');  // a TreeNode's key
export const pinned = signal(0);  // the id of the turn that others are compared with
export const connection = signal<'starting' | 'up' | 'lost' | 'key'>('starting');
export const pane = signal<'picture' | 'tree' | 'details'>('picture');  // on a phone, one at a time
export const fit = signal<Fit | 'asking' | null>(null);
export const measured = signal(0);  // seconds a step, of the last steps seen

export const turnKey = (id: number) => `t${id}`;
export const jobKey = (id: string) => `e${id}`;

export const nodes = computed<TreeNode[]>(() => {
  const turns = (project.value?.turns ?? []).map(
    (turn): TreeNode => ({ key: turnKey(turn.id), parent: turn.parent ? turnKey(turn.parent) : null, turn }));
  const running = jobs.value.map((job): TreeNode => ({
    key: jobKey(job.edit.id), parent: job.edit.request.turn ? turnKey(job.edit.request.turn) : null, job,
  }));
  return [...turns, ...running];
});
export const current = computed(() => nodes.value.find(n => n.key === selected.value));
// The turn that the next edit starts from: of an edit that still runs, the one it was made from.
export const base = computed<Turn | undefined>(() => {
  const node = current.value;
  const id = node?.turn?.id ?? node?.job?.edit.request.turn;
  return project.value?.turns.find(t => t.id === id);
});
export const rootOf = (turn: Turn): Turn => {
  const turns = project.value?.turns ?? [];
  let at = turn;
  for (let up = turns.find(t => t.id === at.parent); up; up = turns.find(t => t.id === at.parent)) at = up;
  return at;
};

// Runs a request; a refusal becomes a message, a silent server the banner. Undefined if it failed.
export async function attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ApiError && error.status === 0) lost();
    else if (error instanceof ApiError && error.status === 401) connection.value = 'key';
    else tell(error instanceof Error ? error.message : String(error), 'error');
    return undefined;
  }
}

// ---- the connection

let returning = false;
function lost(): void {
  if (returning) return;
  returning = true;
  connection.value = 'lost';
  announcement.value = 'The connection to the server is lost. Accepted edits are kept.';
  const knock = async () => {
    try {
      if ((await fetch('/healthz')).ok) {
        returning = false;
        await start();
        return;
      }
    } catch { /* still away */ }
    setTimeout(knock, 700);
  };
  setTimeout(knock, 300);
}

const whenUp = () => new Promise<void>(resolve => {
  let stop = () => {};
  stop = connection.subscribe(state => {
    if (state !== 'up') return;
    resolve();
    queueMicrotask(() => stop());
  });
});

// Sent once more when the server is back; its key makes sure that it is accepted once.
async function retryOnce<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 0) throw error;
    lost();
    await whenUp();
    return work();
  }
}

// What other tabs and programs did meanwhile.
export function lookAgain(): void {
  if (document.visibilityState === 'visible' && connection.value === 'up' && project.value) void openProject(project.value.id);
}

export async function start(): Promise<void> {
  await attempt(async () => {
    model.value = await api.model();
    projects.value = await api.projects();
    connection.value = 'up';
    const [, wanted, turn] = /^#\/p\/([^/]+)(?:\/(\d+))?/.exec(location.hash) ?? [];
    const id = project.value?.id ?? (wanted && decodeURIComponent(wanted)) ?? projects.value[0]?.id;
    if (id && projects.value.some(p => p.id === id)) await openProject(id, turn ? Number(turn) : undefined);
    else if (projects.value[0]) await openProject(projects.value[0].id);
  });
}

export async function useKey(key: string): Promise<void> {
  setAccessKey(key);
  connection.value = 'starting';
  await start();
}

export async function askFit(): Promise<void> {
  if (fit.value) return;
  fit.value = 'asking';
  fit.value = (await attempt(api.fit)) ?? null;
}

// ---- projects

export async function openProject(id: string, turn?: number): Promise<void> {
  const opened = await attempt(() => api.project(id));
  if (!opened) return;
  if (project.value?.id !== id) {
    stopWatching();
    jobs.value = [];
    selected.value = '';
    pinned.value = 0;
  }
  project.value = opened;
  const has = (key: string) => nodes.value.some(n => n.key === key);
  if (turn && has(turnKey(turn))) select(turnKey(turn));
  else if (!has(selected.value)) selectLast();
  await pickUpJobs();
}

export function select(key: string): void {
  selected.value = key;
  const id = project.value?.id;
  const turn = current.value?.turn?.id;
  if (id) history.replaceState(null, '', `#/p/${encodeURIComponent(id)}${turn ? `/${turn}` : ''}`);
}

function selectLast(): void {
  const turns = project.value?.turns ?? [];
  select(turns.length ? turnKey(turns[turns.length - 1].id) : '');
}

export async function refresh(): Promise<void> {
  const id = project.value?.id;
  if (!id) return;
  const fresh = await attempt(() => api.project(id));
  if (fresh && project.value?.id === id) {
    project.value = fresh;
    if (selected.value && !nodes.value.some(n => n.key === selected.value)) selectLast();
  }
}

export async function listProjects(): Promise<void> {
  const list = await attempt(api.projects);
  if (list) projects.value = list;
}

export async function newProject(name = 'Untitled'): Promise<Project | undefined> {
  const made = await attempt(() => api.createProject(name));
  if (made) {
    await openProject(made.id);
    await listProjects();
  }
  return made;
}

export async function renameProject(id: string, name: string): Promise<void> {
  const renamed = await attempt(() => api.renameProject(id, name));
  if (renamed && project.value?.id === id) project.value = renamed;
  await listProjects();
}

export async function deleteProject(info: { id: string; name: string }): Promise<void> {
  if (!(await attempt(() => api.deleteProject(info.id)))) return;
  tell(`“${info.name}” is deleted`, 'info', {
    label: 'Undo',
    run: async () => {
      const back = await attempt(() => api.restoreProject(info.id));
      await listProjects();
      if (back) await openProject(back.id);
    },
  });
  await listProjects();
  if (project.value?.id !== info.id) return;
  stopWatching();
  jobs.value = [];
  project.value = null;
  select('');
  if (projects.value[0]) await openProject(projects.value[0].id);
}

// ---- pictures and turns

// A picture becomes a root of the open project, or begins one; a .kontext file is opened as a project.
export async function takeFiles(files: Iterable<File>): Promise<void> {
  for (const file of files) {
    if (/\.kontext$/i.test(file.name)) {
      const opened = await attempt(() => api.openProjectFile(file, nameFrom(file.name, 'Project')));
      if (opened) {
        await listProjects();
        await openProject(opened.id);
      }
      continue;
    }
    const into = project.value ?? (await newProject(nameFrom(file.name, 'Untitled')));
    if (!into) return;
    const turn = await attempt(() => api.addPicture(into.id, file, nameFrom(file.name, 'Picture')));
    if (!turn) continue;
    await refresh();
    select(turnKey(turn.id));
    if (turn.recipe?.prompt !== undefined)
      tell('This picture carries its recipe: see Details to use it again.');
  }
}

export async function renameTurn(turn: Turn, name: string): Promise<void> {
  const id = project.value?.id;
  if (!id || !name.trim() || name === turn.name) return;
  if (await attempt(() => api.renameTurn(id, turn.id, name.trim()))) await refresh();
}

export async function deleteTurn(turn: Turn): Promise<void> {
  const id = project.value?.id;
  if (!id) return;
  const deleted = await attempt(() => api.deleteTurn(id, turn.id));
  if (!deleted) return;
  const parent = turnKey(turn.parent);
  await refresh();
  if (nodes.value.some(n => n.key === parent)) select(parent);
  const many = deleted.turns.length > 1 ? ` and the ${deleted.turns.length - 1} that follow from it` : '';
  tell(`“${turn.name}”${many} deleted`, 'info', { label: 'Undo', run: () => void restoreTurns(deleted.deletion) });
}

// Several at once, from which nothing follows; one Undo brings all of them back.
export async function deleteTurns(turns: Turn[], what: string): Promise<void> {
  const id = project.value?.id;
  if (!id) return;
  const gone: number[] = [];
  for (const turn of turns) {
    const deleted = await attempt(() => api.deleteTurn(id, turn.id));
    if (deleted) gone.push(deleted.deletion);
  }
  await refresh();
  const back = async () => {
    for (const deletion of gone) await restoreTurns(deletion);
  };
  if (gone.length) tell(`${what} deleted`, 'info', { label: 'Undo', run: () => void back() });
}

export async function restoreTurns(deletion: number): Promise<void> {
  const id = project.value?.id;
  if (!id) return;
  const back = await attempt(() => api.restoreTurns(id, deletion));
  if (!back) return;
  const before = new Set(project.value?.turns.map(t => t.id));
  project.value = back;
  const first = back.turns.find(t => !before.has(t.id));
  if (first) select(turnKey(first.id));
}

export async function purge(): Promise<void> {
  const id = project.value?.id;
  const left = id && (await attempt(() => api.purge(id)));
  if (left) project.value = left;
}

export function undo(): void {
  const last = project.value?.deleted[0]?.deletion;  // the server gives the last first
  if (last !== undefined) void restoreTurns(last);
}

// ---- edits

// True once the server has stored it.
export async function submit(fields: EditFields): Promise<boolean> {
  const into = project.value ?? (await newProject(nameFrom(fields.prompt, 'Untitled')));
  if (!into) return false;
  const from = base.value, key = newIdempotencyKey();
  const edit = await attempt(() => retryOnce(() => api.edit(into.id, from ? from.id : null, fields, key)));
  if (edit) follow(edit);
  return edit !== undefined;
}

export async function again(turn: Turn, n: number): Promise<void> {
  const id = project.value?.id;
  if (!id) return;
  const key = newIdempotencyKey();
  const edit = await attempt(() => retryOnce(() => api.again(id, turn.id, { n }, key)));
  if (edit) follow(edit);
}

export async function cancel(job: Job): Promise<void> {
  await attempt(() => api.cancel(job.edit.id));
}

const watchers = new Map<string, AbortController>();

function stopWatching(): void {
  for (const controller of watchers.values()) controller.abort();
  watchers.clear();
}

function follow(edit: Edit): void {
  jobs.value = [...jobs.value.filter(j => j.edit.id !== edit.id), { edit, position: edit.position, predicted: edit.predicted_seconds }];
  select(jobKey(edit.id));
  void attend(edit.id);
}

function patch(id: string, change: Partial<Job>): void {
  jobs.value = jobs.value.map(j => (j.edit.id === id ? { ...j, ...change } : j));
}

// Edits that were asked for before this page was loaded, or before the server came back.
async function pickUpJobs(): Promise<void> {
  const id = project.value?.id, before = new Set(jobs.value.map(j => j.edit.id));
  const edits = await attempt(api.edits);
  if (!edits || project.value?.id !== id) return;
  const open = edits.filter(e => e.request.project === id && (e.state === 'queued' || e.state === 'running')).reverse();
  const known = new Map(jobs.value.map(j => [j.edit.id, j]));
  for (const job of jobs.value) {
    const ended = edits.find(e => e.id === job.edit.id && !open.includes(e));
    if (ended) await finish(ended);
  }
  const since = jobs.value.filter(j => !before.has(j.edit.id) && !open.some(e => e.id === j.edit.id));  // asked for while the list was on its way
  jobs.value = [...open.map(edit => known.get(edit.id) ?? { edit, progress: edit.progress, position: edit.position }), ...since];
  if (!nodes.value.some(n => n.key === selected.value)) selectLast();
  for (const edit of open) void attend(edit.id);
}

async function attend(id: string): Promise<void> {
  if (watchers.has(id)) return;
  const controller = new AbortController();
  watchers.set(id, controller);
  let ended: Edit | undefined;
  let pictures = 0;
  const on = (event: string, data: unknown) => {
    if (controller.signal.aborted) return;
    if (event === 'queued') {
      const { position, predicted_seconds } = data as { position: number; predicted_seconds?: number };
      patch(id, { position, predicted: predicted_seconds });
    } else if (event === 'step') {
      const progress = data as Progress;
      if (progress.seconds_per_step) measured.value = progress.seconds_per_step;
      const preview = progress.preview ?? jobs.value.find(j => j.edit.id === id)?.preview;
      patch(id, { progress, preview, position: undefined });
      if (progress.picture > pictures) {
        pictures = progress.picture;
        void refresh();  // one of several is finished: it is in the file
      }
    } else {
      ended = data as Edit;
    }
  };
  try {
    await watch(id, on, controller.signal);
  } catch (error) {
    watchers.delete(id);
    if (!controller.signal.aborted) await attempt(() => Promise.reject(error));
    return;
  }
  watchers.delete(id);
  if (controller.signal.aborted) return;
  if (ended) await finish(ended);
  else lost();  // the stream ended before the edit did: the server is going
}

async function finish(edit: Edit): Promise<void> {
  const before = new Set(project.value?.turns.map(t => t.id));
  const watching = selected.value === jobKey(edit.id);
  await refresh();
  const parent = edit.request.turn ?? 0;
  const seeds = new Set(edit.images.map(i => i.seed));
  const mine = (project.value?.turns ?? []).filter(t => t.parent === parent && seeds.has(Number(t.recipe?.seed)));
  const turn = mine.filter(t => !before.has(t.id))[0] ?? mine[mine.length - 1];
  jobs.value = jobs.value.filter(j => j.edit.id !== edit.id);
  if (watching) {
    if (turn && edit.images.length) select(turnKey(turn.id));
    else if (parent) select(turnKey(parent));
    else selectLast();
  }
  const prompt = edit.request.prompt || 'the edit';
  if (edit.state === 'ready') announcement.value = `Ready: ${prompt}`;
  else if (edit.state === 'cancelled') tell(`Cancelled: ${prompt}`);
  else tell(edit.error?.message ?? `The edit is ${edit.state}`, 'error');
  for (const note of edit.notes) tell(note);
}
