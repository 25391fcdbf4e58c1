/** Starts the viewers that a page asks for. */
export function caseViewer(element: HTMLElement): void {
  element.dataset['state'] = 'ready';
}
