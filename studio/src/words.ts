// Numbers as people say them.

export function duration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '';
  if (seconds < 0.0995) return `${Math.round(1000 * seconds)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.round(seconds % 60)).padStart(2, '0')} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  for (; count >= 1024 && unit < units.length - 1; ++unit) count /= 1024;
  return `${count < 10 && unit > 0 ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}

export function ago(seconds: number, now = Date.now() / 1000): string {
  const past = Math.max(0, now - seconds);
  if (past < 60) return 'just now';
  if (past < 3600) return `${Math.floor(past / 60)} min ago`;
  if (past < 86400) return `${Math.floor(past / 3600)} h ago`;
  return new Date(seconds * 1000).toLocaleDateString();
}

// The simplest proportion within a hundredth: "3:2".
export function aspect(size: { width: number; height: number }): string {
  const ratio = size.width / size.height;
  for (let most = 1; ; ++most) {
    const [w, h] = ratio >= 1 ? [most, Math.round(most / ratio)] : [Math.round(most * ratio), most];
    if (h > 0 && w > 0 && Math.abs(w / h / ratio - 1) < 0.0125) return `${w}:${h}`;
  }
}

// A name for a project or turn out of what it was made from.
export function nameFrom(words: string, otherwise: string): string {
  const text = words.replace(/\.(png|jpe?g|webp|kontext)$/i, '').replace(/[\u0000-\u001f/\\]+/g, ' ').trim();
  return text ? text.slice(0, 80) : otherwise;
}

// A name that fits a button.
export function short(name: string, most = 22): string {
  const letters = [...name];
  return letters.length <= most ? name : `${letters.slice(0, most - 1).join('').trimEnd()}…`;
}
