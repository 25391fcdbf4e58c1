/** Starts the reading page where the page asks for it by `data-mount`. */
import { ReadingPage } from './page';
import type { ReadingConfig } from './types';

export async function readingPage(element: HTMLElement, config: unknown): Promise<void> {
  await new ReadingPage(element, config as ReadingConfig).start();
}
