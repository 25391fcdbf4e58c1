/** Makes one SVG sprite of the lucide icons named in `icons.json` (add a name there to use it). */
import { readFileSync } from 'node:fs';
import type { Plugin } from 'vite';

const here = (path: string): URL => new URL(path, import.meta.url);

function symbol(name: string): string {
  const source = readFileSync(here(`./node_modules/lucide-static/icons/${name}.svg`), 'utf8');
  const inner = /<svg[^>]*>([\s\S]*)<\/svg>/.exec(source)?.[1];
  if (inner === undefined) throw new Error(`icons: ${name}.svg holds no <svg>`);
  const body = inner.replace(/\s+/g, ' ').trim();
  return (
    `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" ` +
    `stroke-width="2" stroke-linecap="round" stroke-linejoin="round">${body}</symbol>`
  );
}

export function iconSprite(): Plugin {
  return {
    name: 'icon-sprite',
    generateBundle() {
      const names = JSON.parse(readFileSync(here('./icons.json'), 'utf8')) as string[];
      const symbols = [...new Set(names)].sort().map(symbol).join('\n');
      this.emitFile({
        type: 'asset',
        name: 'icons.svg',
        originalFileName: 'icons.svg',
        source: `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols}\n</svg>\n`,
      });
    },
  };
}
