// What the user is told, on screen and by a screen reader.
import { signal } from '@preact/signals';

export interface Toast { id: number; kind: 'info' | 'error'; message: string; action?: { label: string; run: () => void } }

export const toasts = signal<Toast[]>([]);
export const announcement = signal('');  // for screen readers

let toastNumber = 0;
export function tell(message: string, kind: Toast['kind'] = 'info', action?: Toast['action']): void {
  const toast = { id: ++toastNumber, kind, message, action };
  toasts.value = [...toasts.value.slice(-3), toast];
  announcement.value = message;
  setTimeout(() => dismiss(toast.id), kind === 'error' ? 12000 : action ? 9000 : 5000);
}
export function dismiss(id: number): void {
  toasts.value = toasts.value.filter(t => t.id !== id);
}
