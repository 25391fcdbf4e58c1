/** The keys that answer: digits and letters of the active question, Enter to go on, Backspace to look back. */
import type { Action } from '../viewer/keyboard';

const KEPT = 'single-keys';

/** Whether single characters are keys: who speaks to the computer, or strikes keys unawares, switches them off. */
export class SingleKeys {
  isOn = true;

  constructor(box: HTMLInputElement | null) {
    try {
      this.isOn = localStorage.getItem(KEPT) !== 'off';
    } catch {
      // the browser keeps nothing; they are on
    }
    if (!box) return;
    box.checked = this.isOn;
    box.addEventListener('change', () => {
      this.isOn = box.checked;
      try {
        localStorage.setItem(KEPT, this.isOn ? 'on' : 'off');
      } catch {
        // it holds for this page
      }
    });
  }

  /** The same actions for the keyboard: those of single characters run only while these are on. */
  guard(actions: readonly Action[]): Action[] {
    return actions.map((action) => ({
      ...action,
      enabled: () => (this.isOn || action.keys.every((key) => key.length > 1)) && action.enabled?.() !== false,
    }));
  }
}

export interface AnswerKeys {
  /** While something covers the questions, no key answers. */
  isCovered: () => boolean;
  /** Whether the key is an answer; it is given then. */
  answer: (key: string) => boolean;
  next: () => void;
  /** Null where there is no way back. */
  back: (() => void) | null;
}

const OWN_KEYS = 'dialog, textarea, .overlay__notice';

/** Enter on a target that is not chosen yet, or on another button, is that button's own. */
function isButtonsOwn(target: Element | null): boolean {
  const button = target?.closest('button');
  return button !== null && button !== undefined && button.getAttribute('aria-pressed') !== 'true';
}

export function bindAnswerKeys(keys: AnswerKeys): void {
  const pressed = (event: KeyboardEvent): void => {
    const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat;
    if (event.defaultPrevented || !isPlain || keys.isCovered()) return;
    const target = event.target instanceof Element ? event.target : null;
    if (target?.closest(OWN_KEYS)) return;
    if (event.key === 'Enter') {
      if (isButtonsOwn(target)) return;
      keys.next();
    } else if (event.key === 'Backspace' && keys.back) keys.back();
    else if (!keys.answer(event.key.toLowerCase())) return;
    event.preventDefault();
    event.stopPropagation();
  };
  // Before the keys of the image: R and S are answers while a side is asked for.
  document.addEventListener('keydown', pressed, { capture: true });
}
