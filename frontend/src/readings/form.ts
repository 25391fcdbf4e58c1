/** The questions beside the image: large targets with their keys, a slider, a text; one of them has the keys. */
import { keyLabel } from '../viewer/keyboard';
import type { AnswerSheet } from './sheet';
import type { Choice, Question, Value } from './types';

export interface FormHooks {
  /** A whole answer to one question. */
  onAnswer: (name: string, value: Value) => void;
  onNext: () => void;
  onBack: () => void;
}

const TEXT_IDLE_MS = 1200;
const STEP_WORD = ' · ';
const SHORT_WORD = 10;

type Layout = 'list' | 'row' | 'scale';

/** Numbered steps and short words stand side by side, so that several questions fit beside the image. */
function layoutOf(choices: readonly Choice[]): Layout {
  const isStep = (one: Choice): boolean => one.key !== '' && one.label.split(STEP_WORD)[0] === one.key;
  if (choices.every(isStep)) return 'scale';
  return choices.length <= 4 && choices.every((one) => one.label.length <= SHORT_WORD) ? 'row' : 'list';
}

function make<K extends keyof HTMLElementTagNameMap>(
  name: K,
  className: string,
  text = '',
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  element.className = className;
  if (text) element.textContent = text;
  return element;
}

export class QuestionForm {
  private sheet: AnswerSheet | null = null;
  private readonly groups = new Map<string, HTMLFieldSetElement>();
  private readonly next: HTMLButtonElement;
  private readonly back: HTMLButtonElement;
  private readonly hint: HTMLElement;
  private readonly steps: HTMLElement;
  private isOpen = false;
  private typing: ReturnType<typeof setTimeout> | null = null;

  constructor(
    private readonly root: HTMLElement,
    private readonly questions: readonly Question[],
    private readonly hooks: FormHooks,
  ) {
    root.replaceChildren();
    for (const question of questions) root.append(this.group(question));
    this.hint = make('p', 'reading__hint');
    this.hint.setAttribute('role', 'status');
    this.next = this.button('Next', 'Enter', () => hooks.onNext());
    this.next.classList.add('reading__next');
    this.back = this.button('Back', 'Backspace', () => hooks.onBack());
    this.back.classList.add('secondary');
    this.steps = make('div', 'reading__steps');
    this.steps.append(this.back, this.next);
    root.append(this.hint, this.steps);
  }

  private button(label: string, key: string, run: () => void): HTMLButtonElement {
    const button = make('button', 'reading__step');
    button.type = 'button';
    button.append(make('span', '', label), make('kbd', '', keyLabel(key)));
    button.addEventListener('click', run);
    return button;
  }

  // --- drawn once

  private group(question: Question): HTMLFieldSetElement {
    const group = make('fieldset', 'question');
    group.dataset['question'] = question.name;
    const legend = make('legend', 'question__label', question.label);
    if (!question.required) legend.append(' ', make('span', 'field__optional', '(optional)'));
    group.append(legend);
    const { widget } = question;
    if (widget.kind === 'targets') group.append(this.targets(question, widget.choices, false));
    else if (widget.kind === 'slider') group.append(this.slider(question, widget));
    else group.append(this.text(question, widget));
    if (widget.forced) {
      const side = make('div', 'question__side');
      side.dataset['side'] = '';
      side.hidden = true;
      side.append(make('p', 'question__side-label', widget.forced.label), this.targets(question, widget.forced.choices, true));
      group.append(side);
    }
    group.addEventListener('focusin', () => {
      this.sheet?.activate(question.name);
      this.mark();
    });
    this.groups.set(question.name, group);
    return group;
  }

  private targets(question: Question, choices: readonly Choice[], isSide: boolean): HTMLElement {
    const isFirst = question === this.questions[0] && !isSide;
    const layout = isFirst ? 'list' : layoutOf(choices);
    const list = make('div', `targets targets--${layout}`);
    for (const choice of choices) {
      const button = this.target(choice, layout);
      button.addEventListener('click', (event) => {
        // The second click of a double click would land on the next item.
        if (event.detail > 1) return;
        if (isSide) this.chooseSide(question.name, choice.value);
        else this.choose(question.name, choice.value);
      });
      list.append(button);
    }
    if (layout !== 'scale') return list;
    const whole = make('div', '');
    const ends = make('div', 'question__ends small muted');
    const words = [choices[0], choices[choices.length - 1]].map((one) => one?.label.split(STEP_WORD)[1] ?? '');
    ends.append(...words.map((word) => make('span', '', word)));
    ends.setAttribute('aria-hidden', 'true');
    whole.append(list, ends);
    return whole;
  }

  /** A scale's step bears its number alone, which is its key; every other target its key and its words. */
  private target(choice: Choice, layout: Layout): HTMLButtonElement {
    const button = make('button', 'target');
    button.type = 'button';
    button.dataset['value'] = JSON.stringify(choice.value);
    button.setAttribute('aria-pressed', 'false');
    if (choice.key) button.setAttribute('aria-keyshortcuts', choice.key);
    if (layout === 'scale') {
      button.append(make('span', 'target__label', choice.key));
      if (choice.label !== choice.key) button.append(make('span', 'visually-hidden', choice.label.slice(choice.key.length)));
      return button;
    }
    if (choice.key) {
      const cap = make('kbd', 'target__key', choice.key.toUpperCase());
      cap.setAttribute('aria-hidden', 'true');
      button.append(cap);
    }
    button.append(make('span', 'target__label', choice.label));
    return button;
  }

  private slider(question: Question, widget: Extract<Question['widget'], { kind: 'slider' }>): HTMLElement {
    const box = make('div', 'question__slider');
    const range = make('input', '');
    range.type = 'range';
    range.min = String(widget.min);
    range.max = String(widget.max);
    range.step = String(widget.step);
    range.setAttribute('aria-label', question.label);
    const output = make('output', 'number');
    const ends = make('div', 'question__ends small muted');
    ends.append(make('span', '', widget.low), output, make('span', '', widget.high));
    range.addEventListener('input', () => this.slid(range, output));
    range.addEventListener('change', () => this.choose(question.name, Number(range.value)));
    box.append(range, ends);
    return box;
  }

  private slid(range: HTMLInputElement, output: HTMLElement): void {
    output.textContent = range.value;
    range.setAttribute('aria-valuetext', range.value);
    range.dataset['set'] = 'yes';
  }

  private text(question: Question, widget: Extract<Question['widget'], { kind: 'text' }>): HTMLElement {
    const area = make('textarea', 'question__text');
    area.rows = 3;
    area.maxLength = widget.max_length;
    area.placeholder = widget.hint;
    area.setAttribute('aria-label', question.label);
    const save = (): void => this.saveText(question.name, area.value);
    area.addEventListener('input', () => {
      if (this.typing !== null) clearTimeout(this.typing);
      this.typing = setTimeout(save, TEXT_IDLE_MS);
    });
    area.addEventListener('blur', save);
    return area;
  }

  private saveText(name: string, text: string): void {
    if (this.typing !== null) clearTimeout(this.typing);
    this.typing = null;
    const before = this.sheet?.value(name)?.['text'] ?? '';
    if (!this.isOpen || text.trim() === before) return;
    const value = this.sheet?.choose(name, text.trim());
    if (value) this.hooks.onAnswer(name, value);
    this.mark();
  }

  /** Saves what stands in the text fields and is not saved yet. */
  flushTexts(): void {
    this.root.querySelectorAll('textarea').forEach((area) => {
      const name = area.closest<HTMLElement>('[data-question]')?.dataset['question'];
      if (name) this.saveText(name, area.value);
    });
  }

  // --- for each item anew

  /** The questions of an item, closed until its image is on screen. */
  reset(sheet: AnswerSheet, canGoBack: boolean): void {
    this.sheet = sheet;
    if (this.typing !== null) clearTimeout(this.typing);
    this.typing = null;
    this.back.hidden = !canGoBack;
    this.steps.hidden = false;
    this.next.hidden = sheet.isOneKey && !sheet.isDone;
    this.root.querySelectorAll('textarea').forEach((area) => {
      const name = area.closest<HTMLElement>('[data-question]')?.dataset['question'] ?? '';
      area.value = String(sheet.value(name)?.['text'] ?? '');
    });
    this.root.querySelectorAll<HTMLInputElement>('input[type=range]').forEach((range) => {
      const name = range.closest<HTMLElement>('[data-question]')?.dataset['question'] ?? '';
      const widget = sheet.question(name)?.widget;
      const value = widget ? sheet.value(name)?.[widget.field] : undefined;
      range.value = String(value ?? (Number(range.min) + Number(range.max)) / 2);
      range.dataset['set'] = value === undefined ? 'no' : 'yes';
      const output = range.parentElement?.querySelector('output');
      if (output) output.textContent = value === undefined ? '–' : range.value;
    });
    this.setOpen(false);
  }

  setOpen(isOpen: boolean): void {
    this.isOpen = isOpen;
    this.groups.forEach((group) => {
      group.disabled = !isOpen;
    });
    this.mark();
  }

  /** Takes no more answers to this item, and has no step of its own: feedback comes in their place. */
  close(): void {
    this.setOpen(false);
    this.steps.hidden = true;
  }

  choose(name: string, value: unknown): void {
    if (!this.isOpen || !this.sheet) return;
    const whole = this.sheet.choose(name, value);
    this.mark();
    if (whole) this.hooks.onAnswer(name, whole);
    else if (this.sheet.asksSide(name)) this.askForSide(name);
    else if (this.sheet.isOneKey && this.sheet.isDone) this.hooks.onNext();
  }

  /** Asks in words and leaves the focus where it is, so that no habit of pressing Enter chooses a side. */
  private askForSide(name: string): void {
    const forced = this.sheet?.question(name)?.widget.forced;
    if (!forced) return;
    const choices = forced.choices.map((one) => `${one.key.toUpperCase()} ${one.label.toLowerCase()}`);
    this.hint.textContent = `${forced.label}: ${choices.join(' or ')}.`;
    this.hint.classList.add('visually-hidden'); // who sees has the targets
  }

  private chooseSide(name: string, side: unknown): void {
    if (!this.isOpen || !this.sheet) return;
    const whole = this.sheet.chooseSide(name, side);
    this.mark();
    if (whole) this.hooks.onAnswer(name, whole);
    else if (this.sheet.isOneKey && this.sheet.isDone) this.hooks.onNext();
  }

  /** Whether a key is an answer; it is given then. */
  key(key: string): boolean {
    const found = this.isOpen ? this.sheet?.choiceFor(key) : null;
    if (!found) return false;
    if (found.isSide) this.chooseSide(found.name, found.choice.value);
    else this.choose(found.name, found.choice.value);
    return true;
  }

  /** Puts the focus on the first question that must be answered and is not, and says so. */
  askForMissing(): void {
    const missing = this.sheet?.missing;
    if (!missing) return;
    const group = this.groups.get(missing.name);
    group?.querySelector<HTMLElement>('button, input, textarea')?.focus();
    if (this.sheet?.asksSide(missing.name)) this.askForSide(missing.name);
    else this.hint.textContent = `Please answer “${missing.label}” first.`;
  }

  /** Writes the answers, the question with the keys, and what is left into the page. */
  private mark(): void {
    const { sheet } = this;
    if (!sheet) return;
    const active = sheet.active?.name;
    this.groups.forEach((group, name) => {
      const widget = sheet.question(name)?.widget;
      const value = sheet.value(name);
      const asks = sheet.asksSide(name);
      group.classList.toggle('question--active', this.questions.length > 1 && name === active);
      group.dataset['keys'] = name === active ? 'yes' : 'no';
      const isSided = widget?.forced ? value?.[widget.field] === widget.forced.when : false;
      group.querySelectorAll<HTMLElement>('.target').forEach((button) => {
        const isSide = button.closest('[data-side]') !== null;
        const field = isSide ? isSided && widget?.forced?.field : widget?.field;
        const chosen = value !== undefined && field && JSON.stringify(value[field]) === button.dataset['value'];
        button.setAttribute('aria-pressed', String(Boolean(chosen)));
      });
      const side = group.querySelector<HTMLElement>('[data-side]');
      if (side) side.hidden = !asks && !isSided;
    });
    this.hint.textContent = '';
    this.hint.classList.remove('visually-hidden');
    this.next.hidden = sheet.isOneKey && !sheet.isDone;
    this.next.setAttribute('aria-disabled', String(!this.isOpen || !sheet.isDone));
  }
}
