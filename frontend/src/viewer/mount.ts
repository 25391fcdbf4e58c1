/** Starts the viewers that a page asks for by `data-mount`. */
import { CaseViewer } from './case';
import { ResultViewer } from './compare';
import type { CaseViewerConfig, ResultViewerConfig } from './types';

/** The case page's viewer; its toolbar, viewport and panel lie in the same `.workspace`. */
export async function caseViewer(element: HTMLElement, config: unknown): Promise<void> {
  const scope = element.closest<HTMLElement>('.workspace') ?? element;
  await new CaseViewer(scope, element, config as CaseViewerConfig).start();
}

/** Two or three linked viewports of the result page. */
export async function resultViewer(element: HTMLElement, config: unknown): Promise<void> {
  await new ResultViewer(element, config as ResultViewerConfig).start();
}
