/** What the server tells the reading page (made by webapp/readings/views_taking.py and the question types). */

export interface Choice {
  value: unknown;
  label: string;
  /** A number or letter, or '' where it has none. */
  key: string;
}

/** Asked of whoever chose the value `when`: the side that they would take if they had to. */
export interface Forced {
  when: unknown;
  field: string;
  label: string;
  choices: Choice[];
}

interface Common {
  /** The key of the answer's value that the widget sets. */
  field: string;
  forced: Forced | null;
}

export type Widget =
  | (Common & { kind: 'targets'; choices: Choice[] })
  | (Common & { kind: 'slider'; min: number; max: number; step: number; low: string; high: string })
  | (Common & { kind: 'text'; max_length: number; hint: string });

export interface Question {
  name: string;
  label: string;
  type: string;
  required: boolean;
  widget: Widget;
}

export type Value = Readonly<Record<string, unknown>>;
export type Values = Readonly<Record<string, Value>>;

export interface ReadingConfig {
  place: string;
  questions: Question[];
  window: 'free' | 'fixed';
  going_back: boolean;
  /** Those of an item have `ITEM` where its token goes. */
  urls: Readonly<
    Record<'state' | 'resume' | 'pause' | 'finish' | 'welcome' | 'answers' | 'viewing', string>
  >;
}

export interface Item {
  token: string;
  /** From 0. */
  position: number;
  /** Address of its DICOMweb series, without a slash at the end. */
  series_url: string;
  /** The reader is told what it was, once it is answered. */
  is_practice: boolean;
  answers: Values;
}

export interface State {
  phase:
    | 'not_open' | 'ready' | 'reading' | 'paused' | 'washout' | 'complete' | 'finished' | 'closed' | 'withdrawn';
  /** Whether this page takes the answers, and no other does. */
  is_holder: boolean;
  done: number;
  total: number;
  /** Of the first item that is not completed. */
  position: number;
  session: { number: number; count: number; opens_at: string | null };
  /** The item to be read and the few to be loaded ahead. */
  items: Item[];
}

export interface Reply {
  outcome: 'stored' | 'set_aside';
  feedback: string;
  state: State;
}
