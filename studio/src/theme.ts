// Dark, light, or as the system says.
import { signal } from '@preact/signals';

export type Theme = 'system' | 'dark' | 'light';
export const theme = signal<Theme>((localStorage.getItem('kontext.theme') as Theme) ?? 'system');

export function setTheme(value: Theme): void {
  theme.value = value;
  localStorage.setItem('kontext.theme', value);
  applyTheme();
}

export function applyTheme(): void {
  const light = theme.value === 'light' || (theme.value === 'system' && matchMedia('(prefers-color-scheme: light)').matches);
  document.documentElement.dataset.theme = light ? 'light' : 'dark';
}
