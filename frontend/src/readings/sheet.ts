/** The answers to one item as they are given: which question is next, what a key means, when all is said. */
import type { Choice, Question, Value, Values } from './types';

export class AnswerSheet {
  private readonly given = new Map<string, Value>();
  /** The question whose value waits for the side that the reader would take. */
  private open: { name: string; value: Value } | null = null;
  private touched: string | null = null;

  constructor(
    readonly questions: readonly Question[],
    answers: Values = {},
  ) {
    for (const question of questions) {
      const value = answers[question.name];
      if (value) this.given.set(question.name, value);
    }
  }

  question(name: string): Question | undefined {
    return this.questions.find((one) => one.name === name);
  }

  value(name: string): Value | undefined {
    return this.open?.name === name ? this.open.value : this.given.get(name);
  }

  /** Whether the question asks for a side just now. */
  asksSide(name: string): boolean {
    return this.open?.name === name;
  }

  /** The question that keys go to: the one that asks for a side, was chosen, or is the first without an answer. */
  get active(): Question | undefined {
    const named = this.open?.name ?? this.touched;
    const waiting = this.questions.find((one) => !this.given.has(one.name) && one.widget.kind !== 'text');
    return (named ? this.question(named) : undefined) ?? waiting ?? this.questions[0];
  }

  /** Gives the keys to a question. */
  activate(name: string): void {
    if (this.open && this.open.name !== name) return;
    this.touched = name;
  }

  /**
   * Sets the widget's value; returns the whole answer, or null where a side is still to be chosen.
   *
   * The same answer again is no answer.
   */
  choose(name: string, chosen: unknown): Value | null {
    const question = this.question(name);
    if (!question) return null;
    const { field, forced } = question.widget;
    if (forced && chosen === forced.when) {
      this.open = { name, value: { [field]: chosen } };
      this.touched = null;
      return null;
    }
    return this.settle(name, { [field]: chosen });
  }

  /** Chooses the side that the open question asks for. */
  chooseSide(name: string, side: unknown): Value | null {
    const forced = this.question(name)?.widget.forced;
    if (!forced || this.open?.name !== name) return null;
    return this.settle(name, { ...this.open.value, [forced.field]: side });
  }

  private settle(name: string, value: Value): Value | null {
    this.open = null;
    this.touched = null;
    const before = this.given.get(name);
    this.given.set(name, value);
    const same = before && Object.entries(value).every(([key, one]) => before[key] === one);
    return same ? null : value;
  }

  /** What a key means for the active question. */
  choiceFor(key: string): { name: string; choice: Choice; isSide: boolean } | null {
    const question = this.active;
    if (!question) return null;
    const { name, widget } = question;
    const side = this.open?.name === name ? widget.forced?.choices.find((one) => one.key === key) : undefined;
    if (side) return { name, choice: side, isSide: true };
    const choice = widget.kind === 'targets' && key ? widget.choices.find((one) => one.key === key) : undefined;
    return choice ? { name, choice, isSide: false } : null;
  }

  /** Whether everything that must be answered is. */
  get isDone(): boolean {
    return this.open === null && this.questions.every((one) => !one.required || this.given.has(one.name));
  }

  /** Whether one key is all that an item takes. */
  get isOneKey(): boolean {
    return this.questions.length === 1 && this.questions[0]?.widget.kind === 'targets';
  }

  /** The first question that must be answered and is not. */
  get missing(): Question | undefined {
    if (this.open) return this.question(this.open.name);
    return this.questions.find((one) => one.required && !this.given.has(one.name));
  }
}
