/** The keys that answer: digits and letters of the active question, Enter to go on, Backspace to look back. */

export interface AnswerKeys {
  /** While something covers the questions, no key answers. */
  isCovered: () => boolean;
  /** Whether the key is an answer; it is given then. */
  answer: (key: string) => boolean;
  next: () => void;
  /** Null where there is no way back. */
  back: (() => void) | null;
}

const OWN_KEYS = 'dialog, textarea, .overlay__notice, .reading__bar';

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
