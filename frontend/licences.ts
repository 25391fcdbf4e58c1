/**
 * Lists every package that the build may bundle, with its licence text.
 *
 * The build writes `third-party-licences.txt` beside the scripts; run as a program
 * (`node licences.ts`) it prints the short table that belongs in the repository's NOTICE.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';

const root = fileURLToPath(new URL('./', import.meta.url));

/** What is compiled to WebAssembly inside a codec package, and under which licence. */
const COMPILED_IN: Record<string, string> = {
  '@cornerstonejs/codec-charls': 'CharLS (BSD-3-Clause), compiled to WebAssembly',
  '@cornerstonejs/codec-libjpeg-turbo-8bit':
    'libjpeg-turbo (IJG, BSD-3-Clause and zlib), compiled to WebAssembly; this software is based in part on the work of the Independent JPEG Group',
  '@cornerstonejs/codec-libjxl':
    'libjxl (BSD-3-Clause), with highway (Apache-2.0) and brotli (MIT), compiled to WebAssembly',
  '@cornerstonejs/codec-openjpeg': 'OpenJPEG (BSD-2-Clause), compiled to WebAssembly',
  '@cornerstonejs/codec-openjph': 'OpenJPH (BSD-2-Clause), compiled to WebAssembly',
};

interface Bundled {
  name: string;
  version: string;
  licence: string;
  text: string;
}

interface LockedPackage {
  version?: string;
  dev?: boolean;
  devOptional?: boolean;
}

function licenceOf(manifest: { license?: unknown; licenses?: unknown }): string {
  const value = manifest.license ?? manifest.licenses;
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.map((one: { type?: string }) => one.type).join(' OR ');
  if (value && typeof value === 'object' && 'type' in value) return String(value.type);
  return 'see its licence text';
}

function bundledPackages(): Bundled[] {
  const lock = JSON.parse(readFileSync(`${root}package-lock.json`, 'utf8')) as {
    packages: Record<string, LockedPackage>;
  };
  const found: Bundled[] = [];
  for (const [path, locked] of Object.entries(lock.packages)) {
    const folder = `${root}${path}`;
    if (!path || locked.dev || locked.devOptional || !existsSync(`${folder}/package.json`)) continue;
    const manifest = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
    const file = readdirSync(folder).find((name) => /^(licen[cs]e|copying)/i.test(name));
    found.push({
      name: path.replace(/^.*node_modules\//, ''),
      version: locked.version ?? manifest.version,
      licence: licenceOf(manifest),
      text: file ? readFileSync(`${folder}/${file}`, 'utf8').trim() : '',
    });
  }
  return found.sort((a, b) => a.name.localeCompare(b.name) || a.version.localeCompare(b.version));
}

function fullText(): string {
  const rule = '='.repeat(78);
  return bundledPackages()
    .map(({ name, version, licence, text }) => {
      const compiled = COMPILED_IN[name] ? `\nContains ${COMPILED_IN[name]}.` : '';
      return `${rule}\n${name} ${version}: ${licence}${compiled}\n${rule}\n${text}\n`;
    })
    .join('\n');
}

/** The table for NOTICE: one line per package. */
export function shortTable(): string {
  return bundledPackages()
    .map(({ name, version, licence }) => {
      const compiled = COMPILED_IN[name] ? `\n      contains ${COMPILED_IN[name]}` : '';
      return `  ${name} ${version} (${licence})${compiled}`;
    })
    .join('\n');
}

export function notices(): Plugin {
  return {
    name: 'third-party-licences',
    generateBundle() {
      this.emitFile({
        type: 'asset',
        fileName: 'third-party-licences.txt',
        source: fullText(),
      });
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(shortTable());
