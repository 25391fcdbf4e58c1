/** What the keys of the reading page do to the image; the help is made from it too. */
import type { Action } from '../viewer/keyboard';
import type { Primary } from '../viewer/tools';
import type { Stage } from './stage';

export interface PageActions {
  pause: () => void;
  help: () => void;
  /** The tool changed. */
  looked: () => void;
}

/** Digits, R and S belong to the questions; a fixed window has no tool. */
export function actionsOf(stage: Stage, isFixed: boolean, page: PageActions): Action[] {
  const step = (id: string, label: string, keys: string[], by: number): Action => ({
    id: `slice.${id}`, label, group: 'Slices', keys, repeats: true, run: () => stage.step(by),
    enabled: () => stage.look.count > 1,
  });
  const tool = (primary: Primary, label: string, key: string): Action => ({
    id: `tool.${primary}`, label, group: 'Image', keys: [key],
    run: () => {
      stage.activate(primary);
      page.looked();
    },
  });
  const zoom = (id: string, label: string, keys: string[], factor: number): Action => ({
    id: `zoom.${id}`, label, group: 'Image', keys, repeats: true, run: () => stage.zoomBy(factor),
  });
  return [
    step('next', 'Next slice', ['ArrowDown', 'ArrowRight'], 1),
    step('previous', 'Previous slice', ['ArrowUp', 'ArrowLeft'], -1),
    step('next-ten', 'Ten slices on', ['PageDown'], 10),
    step('previous-ten', 'Ten slices back', ['PageUp'], -10),
    ...(isFixed ? [] : [tool('window', 'Window and level', 'w')]),
    tool('zoom', 'Zoom', 'z'),
    tool('pan', 'Pan', 'p'),
    zoom('in', 'Larger', ['+', '='], 1.2),
    zoom('out', 'Smaller', ['-'], 1 / 1.2),
    { id: 'image.invert', label: 'Invert', group: 'Image', keys: ['i'], run: () => stage.invert() },
    { id: 'image.reset', label: 'Fit and reset', group: 'Image', keys: ['f'], run: () => stage.reset() },
    { id: 'pause', label: 'Pause', group: 'Help', keys: ['Escape'], run: page.pause },
    { id: 'help', label: 'This list of keys', group: 'Help', keys: ['?'], run: page.help },
  ];
}
