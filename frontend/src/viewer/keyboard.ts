/** One table of actions: each is data, behaviour and shortcut; keys, buttons and the help are made from it. */

export interface Action {
  /** Also the `data-action` of the buttons that run it. */
  id: string;
  label: string;
  group: 'Slices' | 'Image' | 'Measure' | 'Mask' | 'Help';
  /** In the form that `keyName` gives. */
  keys: readonly string[];
  run: () => void;
  /** Whether a held key repeats it. */
  repeats?: boolean;
  /** False while it has nothing to act on. */
  enabled?: () => boolean;
}

interface Pressed {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  shiftKey: boolean;
}

/** A key press as one word: `w`, `ArrowUp`, `ctrl+z`, `ctrl+shift+z`, `?`. */
export function keyName(event: Pressed): string {
  const single = event.key.length === 1;
  const key = single ? event.key.toLowerCase() : event.key;
  const parts: string[] = [];
  if (event.ctrlKey || event.metaKey) parts.push('ctrl');
  if (event.altKey) parts.push('alt');
  // For a character, shift is already in the character, except beside Ctrl.
  if (event.shiftKey && (!single || parts.length > 0)) parts.push('shift');
  return [...parts, key].join('+');
}

const SPOKEN: Readonly<Record<string, string>> = {
  ArrowUp: '↑',
  ArrowDown: '↓',
  ArrowLeft: '←',
  ArrowRight: '→',
  PageUp: 'Page up',
  PageDown: 'Page down',
  Delete: 'Delete',
  Backspace: 'Backspace',
  Home: 'Home',
  End: 'End',
  Escape: 'Esc',
  ctrl: 'Ctrl',
  shift: 'Shift',
  alt: 'Alt',
};

/** A key's name for people: `Ctrl + Shift + Z`. */
export function keyLabel(name: string): string {
  const parts = name === '+' ? ['+'] : name.split('+').map((part) => part || '+');
  return parts.map((part) => SPOKEN[part] ?? part.toUpperCase()).join(' + ');
}

/** The action of a key, if it has one and may run. */
export function actionFor(actions: readonly Action[], name: string, repeated: boolean): Action | undefined {
  const found = actions.find((action) => action.keys.includes(name));
  if (!found || (repeated && !found.repeats) || found.enabled?.() === false) return undefined;
  return found;
}

/** Keys that two actions claim; there should be none. */
export function conflicts(actions: readonly Action[]): string[] {
  const keys = actions.flatMap((action) => action.keys);
  return keys.filter((key, index) => keys.indexOf(key) !== index);
}

const TYPING = 'input:not([type=range]):not([type=checkbox]):not([type=radio]):not([type=color]), textarea, select';

function keepsItsKeys(target: EventTarget | null, name: string): boolean {
  if (!(target instanceof Element)) return false;
  if (target.closest(TYPING) || target.closest('[contenteditable], dialog')) return true;
  // A slider and a group of radio buttons move by arrows themselves.
  const moves = /^(Arrow|Page|Home|End)/.test(name);
  return moves && target.closest('input[type=range], input[type=radio]') !== null;
}

/** Keys that others may hear: those that change what a click means, and the one that ends things. */
const PASSED: ReadonlySet<string> = new Set(['Shift', 'Control', 'Alt', 'Meta', 'Escape']);

/** Runs actions by key while the focus is inside `root`; returns how to stop. */
export function bindKeys(root: HTMLElement, actions: readonly Action[]): () => void {
  const onKey = (event: KeyboardEvent): void => {
    const name = keyName(event);
    if (event.defaultPrevented || keepsItsKeys(event.target, name)) return;
    const action = actionFor(actions, name, event.repeat);
    if (!action) {
      // Cornerstone keeps every key on a viewport from the browser, so that Tab would never leave it.
      const inViewport = event.target instanceof Element && event.target.closest('.viewport') !== null;
      if (inViewport && !PASSED.has(event.key)) event.stopPropagation();
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    action.run();
  };
  // In the capture phase: Cornerstone's own tools also listen to keys on the viewport.
  root.addEventListener('keydown', onKey, { capture: true });
  return () => root.removeEventListener('keydown', onKey, { capture: true });
}

/** Runs actions by the buttons inside `root` that carry `data-action`; returns how to stop. */
export function bindButtons(root: HTMLElement, actions: readonly Action[]): () => void {
  const onClick = (event: Event): void => {
    const button = event.target instanceof Element ? event.target.closest<HTMLElement>('[data-action]') : null;
    const action = button && actions.find((one) => one.id === button.dataset['action']);
    if (action && action.enabled?.() !== false) action.run();
  };
  root.addEventListener('click', onClick);
  return () => root.removeEventListener('click', onClick);
}

/** Fills a dialog with the table of keys. */
export function fillHelp(dialog: HTMLDialogElement, actions: readonly Action[]): void {
  const body = dialog.querySelector<HTMLElement>('[data-help-body]');
  if (!body || body.childElementCount > 0) return;
  for (const group of new Set(actions.map((action) => action.group))) {
    const section = document.createElement('section');
    const title = document.createElement('h3');
    title.textContent = group;
    const list = document.createElement('dl');
    for (const action of actions.filter((one) => one.group === group && one.keys.length > 0)) {
      const name = document.createElement('dt');
      name.textContent = action.label;
      const keys = document.createElement('dd');
      action.keys.forEach((key, index) => {
        if (index > 0) keys.append(' or ');
        const cap = document.createElement('kbd');
        cap.textContent = keyLabel(key);
        keys.append(cap);
      });
      list.append(name, keys);
    }
    section.append(title, list);
    body.append(section);
  }
}
