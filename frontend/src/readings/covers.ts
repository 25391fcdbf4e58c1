/** The words of everything that covers image and questions for a while. */
import type { Screens } from './screens';

const again = (label: string, run: () => void) => ({ label, run });
const quiet = (label: string, run: () => void) => ({ label, run, isQuiet: true });

export function coverPaused(screens: Screens, goOn: () => void, leave: () => void): void {
  screens.show(
    'paused',
    'Paused',
    'Everything you answered is saved. You can close this page and go on later, here or on another computer.',
    [again('Go on reading', goOn), quiet('Leave', leave)],
  );
}

export function coverMoved(screens: Screens, goOn: () => void): void {
  screens.show(
    'moved',
    'Reading goes on elsewhere',
    'This study was opened in another tab or on another computer. Everything you answered here is saved. ' +
      'You can close this tab, or go on here.',
    [again('Go on here', goOn)],
  );
}

export function coverWaiting(screens: Screens): void {
  screens.show(
    'waiting',
    'One moment',
    'Your answers are being sent; the next image comes when they have arrived. If the connection is lost, ' +
      'they stay on this computer and are sent as soon as it is back.',
  );
}

export function coverComplete(screens: Screens, finish: () => void, back: () => void): void {
  screens.show('complete', 'Every image is answered', 'You may look back and change answers, or finish.', [
    again('Finish', finish),
    quiet('Look back', back),
  ]);
}

export function coverUnreachable(screens: Screens, reason: string, retry: () => void): void {
  screens.show('unreachable', 'The study could not be opened', reason, [again('Try again', retry)]);
}
