/** What the reading page says in words: how far one is, what is not sent yet, what a practice item was. */
import type { Primary } from '../viewer/tools';
import type { OutboxStatus } from './outbox';

const SAID_FOR_MS = 8000;

/** The sentence about answers that have not arrived; empty while sending is a matter of a moment. */
export function outboxSentence({ waiting, isStuck, reason, isKept }: OutboxStatus): string {
  if (waiting === 0 || !isStuck) return '';
  const many = waiting === 1 ? '1 answer is' : `${waiting} answers are`;
  const kept = isKept ? '' : ' Do not close this tab: this browser keeps nothing.';
  return `${many} waiting to be sent. ${reason}${kept}`;
}

export class StatusBar {
  private readonly find: (name: string) => HTMLElement;
  private saying: ReturnType<typeof setTimeout> | null = null;
  private wasStuck = false;

  constructor(
    private readonly root: HTMLElement,
    onSendNow: () => void,
  ) {
    this.find = (name) => root.querySelector<HTMLElement>(`[data-${name}]`) as HTMLElement;
    this.find('send-now').addEventListener('click', onSendNow);
  }

  /** `position` from 0. */
  showProgress(position: number, total: number, isPractice: boolean): void {
    this.find('progress-here').textContent = String(position + 1);
    this.find('progress-total').textContent = String(total);
    const bar = this.find('progress-bar') as HTMLProgressElement;
    bar.max = total;
    bar.value = position;
    this.find('practice').hidden = !isPractice;
    this.find('announce').textContent = `Image ${position + 1} of ${total}`;
  }

  showOutbox(status: OutboxStatus): void {
    const sentence = outboxSentence(status);
    const place = this.find('outbox');
    this.find('outbox-text').textContent = sentence;
    place.hidden = sentence === '';
    this.root.dataset['waiting'] = String(status.waiting);
    if (this.wasStuck && status.waiting === 0) this.say('All answers are sent.');
    this.wasStuck = status.isStuck || (this.wasStuck && status.waiting > 0);
  }

  /** One sentence for a while. */
  say(sentence: string, isWarning = false): void {
    const place = this.find('say');
    place.textContent = sentence;
    place.classList.toggle('reading__say--warning', isWarning);
    if (this.saying !== null) clearTimeout(this.saying);
    this.saying = setTimeout(() => {
      place.textContent = '';
    }, SAID_FOR_MS);
  }

  showTool(tool: Primary): void {
    this.root.querySelectorAll<HTMLElement>('[data-action^="tool."]').forEach((button) => {
      button.setAttribute('aria-pressed', String(button.dataset['action'] === `tool.${tool}`));
    });
  }

  // --- practice

  get hasFeedback(): boolean {
    return this.find('feedback').dataset['ready'] === 'yes';
  }

  /** What a practice item was; null while the answer is on its way. */
  showFeedback(text: string | null, next?: () => void): void {
    const place = this.find('feedback');
    const words = document.createElement('p');
    words.textContent = text ?? 'Sending your answer…';
    place.replaceChildren(words);
    place.dataset['ready'] = text === null ? 'no' : 'yes';
    place.hidden = false;
    if (text === null || !next) return;
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'reading__step';
    const label = document.createElement('span');
    label.textContent = 'Next image';
    const cap = document.createElement('kbd');
    cap.textContent = 'Enter';
    button.append(label, cap);
    button.addEventListener('click', next);
    place.append(button);
    button.focus();
  }

  hideFeedback(): void {
    const place = this.find('feedback');
    place.hidden = true;
    place.dataset['ready'] = 'no';
    place.replaceChildren();
  }
}
