/** What Cornerstone keeps of a mask beside its voxels: the steps to undo, and whether it is drawn. */
import { eventTarget, utilities } from '@cornerstonejs/core';
import { Enums } from '@cornerstonejs/tools';

const { DefaultHistoryMemo } = utilities.HistoryMemo;
const DRAWN_WITHIN_MS = 5000;

/** Forgets every step that could be undone: they belong to voxels that are gone. */
export function clearHistory(): void {
  const { size } = DefaultHistoryMemo;
  DefaultHistoryMemo.size = size; // setting the size empties the history
}

/**
 * Resolves when a mask is drawn for the first time, while it is still empty: its voxels are filled
 * in afterwards, for until then Cornerstone would show them opaque and without their colours.
 */
export function firstDrawing(segmentationId: string): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      eventTarget.removeEventListener(Enums.Events.SEGMENTATION_RENDERED, listener);
      resolve();
    };
    const listener = (event: Event): void => {
      if ((event as CustomEvent<{ segmentationId: string }>).detail.segmentationId === segmentationId) finish();
    };
    const timer = setTimeout(finish, DRAWN_WITHIN_MS);
    eventTarget.addEventListener(Enums.Events.SEGMENTATION_RENDERED, listener);
  });
}
