// The line at the top: which project, which model, how it looks.
import { signal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import { api } from './api';
import { Icon, Logo } from './icons';
import { Button, Picture, Popover } from './parts';
import {
  connection, deleteProject, listProjects, model, newProject, openProject, project, projects, purge, renameProject, restoreTurns, takeFiles,
} from './store';
import { Running } from './running';
import { setTheme, theme } from './theme';
import { ago } from './words';

export const settingsOpen = signal(false);

function ProjectName() {
  const [editing, setEditing] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const open = project.value;
  useEffect(() => {
    if (editing) input.current?.select();
  }, [editing]);
  if (!open) return null;
  if (!editing)
    return <button type="button" class="project-name" title="Rename the project" onClick={() => setEditing(true)}>{open.name}</button>;
  const done = (keep: boolean) => {
    const name = input.current?.value.trim();
    setEditing(false);
    if (keep && name && name !== open.name) void renameProject(open.id, name);
  };
  return (
    <input ref={input} class="project-rename" aria-label="Name of the project" value={open.name} maxLength={80} onBlur={() => done(true)}
      onKeyDown={e => (e.key === 'Enter' ? done(true) : e.key === 'Escape' ? done(false) : undefined)} />
  );
}

function ProjectMenu() {
  const files = useRef<HTMLInputElement>(null);
  return (
    <Popover label="Projects" button={(open, toggle) => (
      <button type="button" class="button plain" aria-label="Projects" aria-expanded={open}
        onClick={() => { toggle(); void listProjects(); }}>
        <Icon name="folder" /><span class="wide-only">Projects</span><Icon name="chevron" size={14} />
      </button>
    )}>
      {close => (
        <div class="projects">
          <div class="actions">
            <Button icon="plus" label="New project" onClick={() => { close(); void newProject(); }}>New</Button>
            <Button icon="file" label="Open" onClick={() => files.current?.click()} hint="A picture, or a .kontext file">Open…</Button>
            {project.value && <a class="button plain" href={api.projectFile(project.value.id)} download={`${project.value.name}.kontext`}>
              <Icon name="download" /><span>Save .kontext</span></a>}
          </div>
          <input type="file" ref={files} hidden accept=".kontext,image/png,image/jpeg,image/webp" aria-label="Open"
            onChange={e => { const chosen = [...(e.currentTarget.files ?? [])]; close(); void takeFiles(chosen); }} />
          <ul class="project-list">
            {projects.value.map(p => (
              <li key={p.id} class={p.id === project.value?.id ? 'chosen' : ''}>
                <button type="button" class="project-open" onClick={() => { close(); void openProject(p.id); }}>
                  {p.cover ? <Picture path={api.cover(p)} alt="" cls="project-cover" /> : <span class="project-cover" />}
                  <span><strong>{p.name}</strong><small>{p.turns} turn{p.turns === 1 ? '' : 's'} · {ago(p.changed)}</small></span>
                </button>
                <Button icon="trash" label={`Delete ${p.name}`} kind="quiet" onClick={() => { close(); void deleteProject(p); }} />
              </li>
            ))}
          </ul>
          {(project.value?.deleted.length ?? 0) > 0 && (
            <>
              <h3>Deleted from this project</h3>
              <ul class="project-list">
                {project.value!.deleted.map(d => (
                  <li key={d.deletion}>
                    <span class="project-open"><span><strong>{d.name}</strong><small>{d.turns.length} turn{d.turns.length === 1 ? '' : 's'}</small></span></span>
                    <Button icon="undo" label={`Bring back ${d.name}`} kind="quiet" onClick={() => { close(); void restoreTurns(d.deletion); }} />
                  </li>
                ))}
              </ul>
              <Button icon="trash" label="Remove for good" kind="danger" hint="The file gets smaller; there is no way back"
                onClick={() => confirm('Remove what is deleted from this project for good?') && void purge()}>Remove for good</Button>
            </>
          )}
        </div>
      )}
    </Popover>
  );
}

export function TopBar() {
  const dark = document.documentElement.dataset.theme !== 'light';
  void theme.value;
  return (
    <header class="topbar">
      <span class="brand"><Logo /><h1 class="wordmark">kontext</h1></span>
      <ProjectMenu />
      <ProjectName />
      <span class="spring" />
      <span class={`status ${connection.value}`} title={model.value?.variant ?? ''}>
        <i aria-hidden="true" />
        <span class="wide-only">{connection.value === 'up' ? model.value?.name : connection.value === 'lost' ? 'no connection' : ''}</span>
      </span>
      <Running />
      <Button icon={dark ? 'sun' : 'moon'} label={dark ? 'Light colours' : 'Dark colours'} kind="quiet" onClick={() => setTheme(dark ? 'light' : 'dark')} />
      <Button icon="gear" label="Settings" kind="quiet" onClick={() => (settingsOpen.value = true)} />
    </header>
  );
}
