/** Entry of every page: styles, htmx, theme, and whatever the page asks for with `data-mount`. */
import htmx from 'htmx.org';
import './styles/main.css';
import { frameInit } from './frame';
import { redrawInit } from './redraw';
import { themeInit } from './theme';

/** Starts one part of a page inside `element`; `config` is its `json_script`. */
export type Mount = (element: HTMLElement, config: unknown) => void | Promise<void>;

/** What a page may ask for by `data-mount="name"`; each is loaded only where it is used. */
const MOUNTS: Readonly<Record<string, () => Promise<Mount>>> = {
  'case-viewer': async () => (await import('./viewer/mount')).caseViewer,
  upload: async () => (await import('./cases/upload')).upload,
  reading: async () => (await import('./readings/mount')).readingPage,
  severity: async () => (await import('./jobs/severity')).severity,
  'result-viewer': async () => (await import('./viewer/mount')).resultViewer,
};

/** The parsed `json_script` that `data-config="id"` names, or null. */
function configOf(element: HTMLElement): unknown {
  const id = element.dataset['config'];
  const script = id ? document.getElementById(id) : null;
  return script?.textContent ? JSON.parse(script.textContent) : null;
}

function showFailure(element: HTMLElement, error: unknown): void {
  const notice = document.createElement('p');
  notice.className = 'notice notice--error';
  notice.setAttribute('role', 'alert');
  const reason = error instanceof Error ? error.message : String(error);
  notice.textContent = `This part of the page could not start: ${reason} Reload the page to try again.`;
  element.append(notice);
}

async function mountOne(element: HTMLElement): Promise<void> {
  const name = element.dataset['mount'] ?? '';
  if (element.dataset['mounted']) return;
  element.dataset['mounted'] = 'loading';
  try {
    const load = MOUNTS[name];
    if (!load) throw new Error(`there is no part named “${name}”.`);
    await (await load())(element, configOf(element));
    element.dataset['mounted'] = 'yes';
  } catch (error) {
    console.error(error);
    showFailure(element, error);
  }
}

/** Mounts every `[data-mount]` inside `root`. */
export function mountAll(root: ParentNode): void {
  root.querySelectorAll<HTMLElement>('[data-mount]').forEach((element) => void mountOne(element));
}

// The strict policy forbids inline styles and eval; the page may carry further settings in its meta tag.
Object.assign(htmx.config, { includeIndicatorStyles: false, allowEval: false, selfRequestsOnly: true });

themeInit();
frameInit();
redrawInit();
mountAll(document);
document.addEventListener('htmx:load', (event) => {
  const root = (event as CustomEvent<{ elt: HTMLElement }>).detail.elt;
  mountAll(root);
});
