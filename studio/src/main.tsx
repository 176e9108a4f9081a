import '@fontsource-variable/instrument-sans/wght.css';
import { render } from 'preact';
import { App } from './app';
import './style/base.css';
import './style/layout.css';
import './style/parts.css';
import './style/picture.css';
import { applyTheme } from './theme';

applyTheme();
matchMedia('(prefers-color-scheme: light)').addEventListener('change', applyTheme);
render(<App />, document.getElementById('studio')!);
