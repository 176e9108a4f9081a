import { defineConfig } from 'vite';

// Fixed names: the files are embedded into the program (cmake/studio.cmake), which serves them with a revalidating
// cache header, so hashes in names would only make its table change.
export default defineConfig({
  base: '/',
  build: {
    outDir: process.env.STUDIO_OUT ?? 'dist',
    emptyOutDir: true,
    assetsInlineLimit: 0,  // a strict CSP: no data: for fonts and scripts
    modulePreload: { polyfill: false },
    rollupOptions: {
      output: { entryFileNames: 'studio.js', assetFileNames: '[name][extname]', inlineDynamicImports: true },
    },
  },
  server: { proxy: { '/v1': process.env.KONTEXT_SERVER ?? 'http://127.0.0.1:7860' } },
});
