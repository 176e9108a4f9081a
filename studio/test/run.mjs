// Bundles the TypeScript tests of a folder and runs them by Node's own test runner.
//   node test/run.mjs unit|browser [--test-name-pattern=...]
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const suite = process.argv[2];
const out = join(here, '.out', suite);
rmSync(out, { recursive: true, force: true });
const names = readdirSync(join(here, suite)).filter(name => name.endsWith('.test.ts'));
await build({
  entryPoints: names.map(name => join(here, suite, name)), bundle: true, platform: 'node', format: 'esm', target: 'node18', outdir: out,
  outExtension: { '.js': '.mjs' }, packages: 'external', sourcemap: 'inline', logLevel: 'warning',
});
const files = names.map(name => join(out, name.replace(/\.ts$/, '.mjs')));
const { status } = spawnSync(process.execPath, ['--enable-source-maps', '--test', ...process.argv.slice(3), ...files], { stdio: 'inherit' });
process.exit(status ?? 1);
