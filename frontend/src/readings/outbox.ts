/** What is on its way to the server: kept until it has arrived, sent one by one in order, tried again and again. */
import { ApiError } from '../api';

export interface Entry {
  /** Also the server's name for it, by which it is stored once however often it is sent. */
  id: string;
  kind: 'answers' | 'viewing' | 'pause';
  token: string;
  body: Readonly<Record<string, unknown>>;
}

/** Where entries outlive the page. */
export interface Shelf {
  list(): Entry[];
  /** False where it cannot be kept beyond this page. */
  put(entry: Entry): boolean;
  remove(id: string): void;
}

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15_000;

/** Failures that pass: no connection, signed out, an expired form, too much at once, a server in trouble. */
export function isPassing(error: unknown): boolean {
  if (!(error instanceof ApiError)) return true;
  return error.status === 0 || error.status >= 500 || [401, 403, 408, 425, 429].includes(error.status);
}

/** The browser's own storage, one key per entry, so that two tabs never overwrite each other's. */
export class StorageShelf implements Shelf {
  private count = 0;

  constructor(
    private readonly storage: Storage,
    private readonly prefix: string,
    private readonly now: () => number = Date.now,
  ) {}

  private keys(): string[] {
    const keys: string[] = [];
    for (let index = 0; index < this.storage.length; index += 1) {
      const key = this.storage.key(index);
      if (key?.startsWith(this.prefix)) keys.push(key);
    }
    return keys.sort();
  }

  list(): Entry[] {
    const entries: Entry[] = [];
    for (const key of this.keys()) {
      try {
        entries.push(JSON.parse(this.storage.getItem(key) ?? '') as Entry);
      } catch {
        this.storage.removeItem(key); // not written by this page
      }
    }
    return entries;
  }

  put(entry: Entry): boolean {
    this.count += 1;
    const order = `${String(this.now()).padStart(15, '0')}-${String(this.count).padStart(6, '0')}`;
    try {
      this.storage.setItem(`${this.prefix}${order}-${entry.id}`, JSON.stringify(entry));
      return true;
    } catch {
      return false;
    }
  }

  remove(id: string): void {
    this.keys().filter((key) => key.endsWith(`-${id}`)).forEach((key) => this.storage.removeItem(key));
  }
}

/** Keeps entries for this page alone, where the browser allows no storage. */
export class NoShelf implements Shelf {
  list(): Entry[] {
    return [];
  }

  put(): boolean {
    return false;
  }

  remove(): void {
    // nothing is kept
  }
}

/** The browser's storage, or where it is forbidden a shelf that keeps nothing. */
export function shelfFor(prefix: string): Shelf {
  try {
    return new StorageShelf(localStorage, prefix);
  } catch {
    return new NoShelf();
  }
}

export interface OutboxStatus {
  /** Answers that have not arrived. */
  waiting: number;
  /** Whether the last try failed and another is due. */
  isStuck: boolean;
  /** Why, as a sentence. */
  reason: string;
  /** False where closing the page would lose what is waiting. */
  isKept: boolean;
}

export interface OutboxHooks {
  send: (entry: Entry) => Promise<unknown>;
  onChange: (status: OutboxStatus) => void;
  onArrived: (entry: Entry, reply: unknown) => void;
  /** The server will never take it. */
  onRefused: (entry: Entry, error: Error) => void;
}

export class Outbox {
  private readonly queue: Entry[];
  private readonly unkept = new Set<string>();
  private sending: Promise<void> | null = null;
  private failures = 0;
  private reason = '';
  private timer: ReturnType<typeof setTimeout> | null = null;

  /** What an earlier page left on the shelf is sent first. */
  constructor(
    private readonly shelf: Shelf,
    private readonly hooks: OutboxHooks,
  ) {
    this.queue = shelf.list();
  }

  get status(): OutboxStatus {
    return {
      waiting: this.queue.filter((entry) => entry.kind === 'answers').length,
      isStuck: this.failures > 0,
      reason: this.reason,
      isKept: this.unkept.size === 0,
    };
  }

  get isEmpty(): boolean {
    return this.queue.length === 0;
  }

  /** The tokens of items whose last answer has not arrived. */
  get completing(): ReadonlySet<string> {
    const answers = this.queue.filter((one) => one.kind === 'answers' && one.body['is_complete'] === true);
    return new Set(answers.map((one) => one.token));
  }

  /** Keeps an entry and sends it as soon as those before it have arrived; the same id twice is one. */
  add(entry: Entry): void {
    if (this.queue.some((one) => one.id === entry.id)) return;
    this.queue.push(entry);
    if (!this.shelf.put(entry)) this.unkept.add(entry.id);
    this.changed();
    if (this.timer === null) void this.work();
  }

  /** Tries at once; for a connection that came back, or a person who does not want to wait. */
  async flush(): Promise<void> {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    await this.work();
  }

  /** Sends what waits; whoever comes while it is being sent waits for the same. */
  private work(): Promise<void> {
    this.sending ??= this.sendAll().finally(() => {
      this.sending = null;
    });
    return this.sending;
  }

  private async sendAll(): Promise<void> {
    for (let entry = this.queue[0]; entry; entry = this.queue[0]) {
      if (!(await this.deliver(entry))) break;
    }
  }

  /** Whether the entry is dealt with. */
  private async deliver(entry: Entry): Promise<boolean> {
    try {
      const reply = await this.hooks.send(entry);
      this.settle(entry);
      this.hooks.onArrived(entry, reply);
      return true;
    } catch (error) {
      if (isPassing(error)) {
        this.failures += 1;
        this.reason = error instanceof Error ? error.message : String(error);
        const wait = Math.min(FIRST_WAIT_MS * 2 ** (this.failures - 1), LONGEST_WAIT_MS);
        this.timer = setTimeout(() => void this.flush(), wait);
        this.changed();
        return false;
      }
      this.settle(entry);
      this.hooks.onRefused(entry, error as Error);
      return true;
    }
  }

  private settle(entry: Entry): void {
    this.queue.splice(this.queue.indexOf(entry), 1);
    this.shelf.remove(entry.id);
    this.unkept.delete(entry.id);
    this.failures = 0;
    this.reason = '';
    this.changed();
  }

  private changed(): void {
    this.hooks.onChange(this.status);
  }
}
