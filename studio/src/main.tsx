import '@fontsource-variable/instrument-sans/wght.css';
import { render } from 'preact';
import { App } from './app';
import { ReviewPage } from './review';
import './style/base.css';
import './style/layout.css';
import './style/parts.css';
import './style/picture.css';
import './style/review.css';
import { applyTheme } from './theme';

applyTheme();
matchMedia('(prefers-color-scheme: light)').addEventListener('change', applyTheme);
render(location.pathname === '/review' ? <ReviewPage /> : <App />, document.getElementById('studio')!);
