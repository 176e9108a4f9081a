// Line icons, 24 x 24, drawn for this studio.
const PATHS = {
  plus: 'M12 5v14M5 12h14',
  close: 'M6 6l12 12M18 6L6 18',
  check: 'M5 12.500l4.500 4.500L19 7.500',
  dice: 'M5 4h14a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1zM8.500 8.500h.01M15.500 8.500h.01M12 12h.01M8.500 15.500h.01M15.500 15.500h.01',
  brush: 'M20 4L10.500 13.500M20 4c-3 0-9.500 5.500-11 8.500l2.500 2.500C14.500 13.500 20 7 20 4zM8.300 14.300C5.500 14.300 6.500 18 4 19c3 1.600 7.200.6 7.200-2.200',
  eraser: 'M8 19h12M5.500 15.500l9-9a1.500 1.500 0 0 1 2.100 0l2.400 2.400a1.500 1.500 0 0 1 0 2.100L11 19H8.500l-3-3a.4.4 0 0 1 0-.5zM10 11l4.500 4.500',
  lasso: 'M7.500 13.500C5.300 12.700 4 11.400 4 9.800 4 6.800 7.600 4.500 12 4.500s8 2.300 8 5.300-3.600 5.200-8 5.200a12 12 0 0 1-1.500-.1M8.500 12.500a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM8.500 16.500c.3 1.500-.3 2.500-2 3',
  rectangle: 'M4 8V6h3M10.500 6h3M17 6h3v2M20 11v2M20 16v2h-3M13.500 18h-3M7 18H4v-2M4 13v-2',
  images: 'M8 4h11a1 1 0 0 1 1 1v11M4 9a1 1 0 0 1 1-1h10a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1zM4 17l3.500-3.500 3 3L12.500 15 16 18',
  sliders: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4',
  download: 'M12 4v11M7 11l5 5 5-5M5 20h14',
  trash: 'M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.500 11v5M13.500 11v5',
  pencil: 'M4 20l1-4L16 5l3 3L8 19zM14 7l3 3',
  undo: 'M8 5L4 9l4 4M4 9h10a5 5 0 0 1 0 10h-3',
  redo: 'M16 5l4 4-4 4M20 9H10a5 5 0 0 0 0 10h3',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 3v1.500M12 19.500V21M3 12h1.500M19.500 12H21M5.600 5.600l1.100 1.100M17.300 17.300l1.100 1.100M18.400 5.600l-1.100 1.100M6.700 17.300l-1.100 1.100',
  moon: 'M19.500 14A8 8 0 0 1 10 4.500 8 8 0 1 0 19.500 14z',
  gear: 'M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM19 12l1.800-1.200-1.700-3-2.100.6-1.400-.8L15 5.500h-3.500l-.6 2.100-1.400.8-2.100-.6-1.700 3L7.500 12l-1.800 1.200 1.700 3 2.100-.6 1.400.8.600 2.100H15l.6-2.100 1.400-.8 2.100.6 1.700-3z',
  folder: 'M4 7a1 1 0 0 1 1-1h4l2 2h8a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1z',
  chevron: 'M7 10l5 5 5-5',
  earlier: 'M14 7l-5 5 5 5',
  picture: 'M5 5h14a1 1 0 0 1 1 1v12a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1zM4 16l4.500-4.500 4 4 2.500-2.500 5 5M15 9.500h.01',
  split: 'M12 4v16M5 6h4M5 12h4M5 18h4M15 6h4v12h-4z',
  heat: 'M12 4c1 3.500 5 5 5 9.500a5 5 0 0 1-10 0c0-2 1-3 2-4 .3 1.500 1 2 1.700 2.300C10.500 9 10.500 6.500 12 4z',
  columns: 'M4 5h7v14H4zM13 5h7v14h-7z',
  tree: 'M7 4v16M7 13c0-5 3-3 8-7M7 12c1 5 4 3 8 6M16 5.500h.01M16 18.500h.01',
  info: 'M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 11v5M12 8h.01',
  warn: 'M12 4l9 16H3zM12 10v4M12 17h.01',
  wand: 'M5 19L15 9M13 7l4 4M18 3v3M16.500 4.500h3M20 12v2M19 13h2M7 4v2M6 5h2',
  lamp: 'M9 17.500c0-2.500-3-4-3-7.500a6 6 0 0 1 12 0c0 3.500-3 5-3 7.500zM10 20.500h4',
  copy: 'M9 9h10v10H9zM5 15V5h10',
  up: 'M12 19V5M6 11l6-6 6 6',
  stop: 'M7 7h10v10H7z',
  target: 'M4 9V5h4M16 5h4v4M20 15v4h-4M8 19H4v-4',
  pin: 'M9 4h6M10 4v6l-3 4h10l-3-4V4M12 14v6',
  invert: 'M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16',
  branch: 'M7 5v9M7 14a5 5 0 0 0 5 5h3M17 19h.01M7 8a4 4 0 0 0 4 4h5',
  file: 'M6 3h8l4 4v14H6zM14 3v4h4',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.7"
      stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

// The K is an edit tree: a trunk, a branch kept, a branch that goes on.
export function Logo() {
  return (
    <svg class="logo" width="26" height="26" viewBox="0 0 32 32" fill="none" stroke-width="3.2" stroke-linecap="round" aria-hidden="true">
      <path d="M9 5v22" stroke="currentColor" />
      <path d="M9 17c0-7 5-4 11.500-9" stroke="currentColor" />
      <path d="M9 15c1 7 6 4.500 12 9.500" class="logo-branch" />
      <circle cx="22" cy="7" r="3" fill="currentColor" stroke="none" />
      <circle cx="23" cy="25.500" r="3" class="logo-dot" stroke="none" />
    </svg>
  );
}
