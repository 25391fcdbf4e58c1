/** Builds the front window into `dist/`, which Django serves under any STATIC_URL. */
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';
import { iconSprite } from './icons.ts';
import { notices } from './licences.ts';

/**
 * Cornerstone writes the labels of its measurements with `setAttribute('style', …)`, which a
 * strict Content-Security-Policy refuses; the CSSOM property is allowed.
 */
const cspStyle: Plugin = {
  name: 'csp-style-attribute',
  enforce: 'pre',
  transform(code, id) {
    if (!/drawingSvg\/drawTextBox\.js$/.test(id)) return null;
    const out = code.replace(
      "textElement.setAttribute('style', combinedStyle)",
      'textElement.style.cssText = combinedStyle',
    );
    if (out === code) throw new Error('csp-style-attribute: drawTextBox.js has changed upstream');
    return { code: out, map: null };
  },
};

export default defineConfig({
  base: './',
  publicDir: false,
  plugins: [cspStyle, iconSprite(), notices()],
  worker: { format: 'es' },
  resolve: {
    alias: {
      // vtk.js pulls an XML writer that needs Node's `events`; nothing here reads XML.
      xmlbuilder2: fileURLToPath(new URL('./src/stubs/xmlbuilder2.ts', import.meta.url)),
    },
  },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    manifest: 'manifest.json',
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 4000,
    rolldownOptions: {
      input: { main: 'src/main.ts' },
      // htmx's eval is switched off by its configuration and refused by the page's policy.
      checks: { eval: false, pluginTimings: false },
    },
  },
  test: { include: ['tests/**/*.test.ts'], environment: 'node' },
});
