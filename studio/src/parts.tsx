// The pieces that the panels are made of.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { accessKey, api } from './api';
import { Icon } from './icons';
import type { IconName } from './icons';

export const px = (length: number) => `${length}px`;

// Where there is a key a picture is fetched with it; otherwise the address itself will do, and the browser caches.
export function useSource(path: string | undefined): string | undefined {
  const [source, setSource] = useState<string | undefined>(() => (accessKey() ? undefined : path));
  useEffect(() => {
    if (!path || !accessKey()) {
      setSource(path);
      return;
    }
    let url: string | undefined, gone = false;
    api.blob(path).then(blob => {
      if (!gone) setSource((url = URL.createObjectURL(blob)));
    }, () => setSource(undefined));
    return () => {
      gone = true;
      if (url) URL.revokeObjectURL(url);
    };
  }, [path]);
  return source;
}

export function Picture({ path, alt, cls }: { path: string; alt: string; cls?: string }) {
  const source = useSource(path);
  return source ? <img class={cls} src={source} alt={alt} decoding="async" draggable={false} /> : <span class={cls} />;
}

interface ButtonProps {
  icon?: IconName;
  label: string;
  children?: ComponentChildren;
  onClick?: (event: MouseEvent) => void;
  kind?: 'plain' | 'primary' | 'quiet' | 'danger';
  pressed?: boolean;
  expanded?: boolean;
  disabled?: boolean;
  hint?: string;
  cls?: string;
}

// With children the label is read out; without, the icon alone is seen and the label is its name and tooltip.
export function Button({ icon, label, children, onClick, kind = 'plain', pressed, expanded, disabled, hint, cls = '' }: ButtonProps) {
  return (
    <button type="button" class={`button ${kind} ${children === undefined ? 'square' : ''} ${cls}`} onClick={onClick} disabled={disabled}
      aria-label={children === undefined || label !== children ? label : undefined} title={hint ?? (children === undefined ? label : undefined)}
      aria-pressed={pressed} aria-expanded={expanded}>
      {icon && <Icon name={icon} />}
      {children !== undefined && <span>{children}</span>}
    </button>
  );
}

export function Segments<T extends string>({ label, value, options, onChange }: {
  label: string;
  value: T;
  options: { value: T; label: string; icon?: IconName; disabled?: boolean }[];
  onChange: (value: T) => void;
}) {
  return (
    <div class="segments" role="group" aria-label={label}>
      {options.map(o => (
        <button type="button" key={o.value} class="segment" aria-pressed={o.value === value} disabled={o.disabled}
          onClick={() => onChange(o.value)} title={o.label}>
          {o.icon && <Icon name={o.icon} size={16} />}
          <span>{o.label}</span>
        </button>
      ))}
    </div>
  );
}

export function Field({ label, children, hint }: { label: string; children: ComponentChildren; hint?: string }) {
  return (
    <label class="field">
      <span class="field-label">{label}</span>
      {children}
      {hint && <span class="field-hint">{hint}</span>}
    </label>
  );
}

export function Switch({ label, checked, onChange, hint }: { label: string; checked: boolean; onChange: (on: boolean) => void; hint?: string }) {
  return (
    <label class="switch" title={hint}>
      <input type="checkbox" role="switch" checked={checked} onChange={e => onChange(e.currentTarget.checked)} />
      <span class="switch-track" aria-hidden="true" />
      <span>{label}</span>
    </label>
  );
}

// The browser's own dialog: it keeps the focus inside, and Escape closes it.
export function Dialog({ title, open, onClose, children, wide }: {
  title: string; open: boolean; onClose: () => void; children: ComponentChildren; wide?: boolean;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = ref.current;
    if (open && dialog && !dialog.open) dialog.showModal();
    if (!open && dialog?.open) dialog.close();
  }, [open]);
  return (
    <dialog ref={ref} class={wide ? 'dialog wide' : 'dialog'} aria-label={title} onClose={onClose}
      onClick={e => e.target === ref.current && onClose()}>
      {open && (
        <div class="dialog-body">
          <header>
            <h2>{title}</h2>
            <Button icon="close" label="Close" kind="quiet" onClick={onClose} />
          </header>
          {children}
        </div>
      )}
    </dialog>
  );
}

// A panel that a button opens; a press elsewhere or Escape closes it.
export function Popover({ label, button, children, align = 'start', up }: {
  label: string; button: (open: boolean, toggle: () => void) => ComponentChildren; children: (close: () => void) => ComponentChildren;
  align?: 'start' | 'end'; up?: boolean;
}) {
  const [open, setOpen] = useState(false);
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return;
    const outside = (e: Event) => !ref.current?.contains(e.target as Element) && setOpen(false);
    const escape = (e: KeyboardEvent) => {
      if (e.key !== 'Escape') return;
      e.stopPropagation();
      setOpen(false);
      ref.current?.querySelector('button')?.focus();
    };
    document.addEventListener('pointerdown', outside);
    ref.current?.addEventListener('keydown', escape);
    const root = ref.current;
    return () => {
      document.removeEventListener('pointerdown', outside);
      root?.removeEventListener('keydown', escape);
    };
  }, [open]);
  return (
    <div class="popover-root" ref={ref}>
      {button(open, () => setOpen(!open))}
      {open && (
        <div class={`popover ${align} ${up ? 'up' : ''}`} role="group" aria-label={label}>
          {children(() => setOpen(false))}
        </div>
      )}
    </div>
  );
}
