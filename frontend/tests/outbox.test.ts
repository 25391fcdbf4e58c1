import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiError } from '../src/api';
import { type Entry, NoShelf, Outbox, type OutboxStatus, type Shelf, StorageShelf, isPassing } from '../src/readings/outbox';
import { outboxSentence } from '../src/readings/statusbar';

/** The part of `Storage` that a shelf needs. */
class Memory {
  readonly kept = new Map<string, string>();
  isFull = false;

  get length(): number {
    return this.kept.size;
  }

  key(index: number): string | null {
    return [...this.kept.keys()][index] ?? null;
  }

  getItem(key: string): string | null {
    return this.kept.get(key) ?? null;
  }

  setItem(key: string, value: string): void {
    if (this.isFull) throw new DOMException('full', 'QuotaExceededError');
    this.kept.set(key, value);
  }

  removeItem(key: string): void {
    this.kept.delete(key);
  }
}

const answer = (id: string, complete = true): Entry => ({
  id, kind: 'answers', token: `token-${id}`, body: { answers: { q: { score: 1 } }, is_complete: complete },
});
const offline = new ApiError('The server did not answer.', 0);

function setUp(shelf: Shelf, send: (entry: Entry) => Promise<unknown>) {
  const seen = { arrived: [] as string[], refused: [] as string[], statuses: [] as OutboxStatus[] };
  const outbox = new Outbox(shelf, {
    send,
    onChange: (status) => seen.statuses.push(status),
    onArrived: (entry) => seen.arrived.push(entry.id),
    onRefused: (entry) => seen.refused.push(entry.id),
  });
  return { outbox, seen };
}

const shelfOf = (memory: Memory, now = () => 5): StorageShelf =>
  new StorageShelf(memory as unknown as Storage, 'reading-p-', now);

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe('Outbox', () => {
  it('sends one after the other, in the order given', async () => {
    const order: string[] = [];
    let running = 0;
    const { outbox, seen } = setUp(new NoShelf(), async (entry) => {
      running += 1;
      expect(running).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, entry.id === 'a' ? 50 : 1));
      order.push(entry.id);
      running -= 1;
    });
    ['a', 'b', 'c'].forEach((id) => outbox.add(answer(id)));
    await vi.advanceTimersByTimeAsync(100);
    expect(order).toEqual(['a', 'b', 'c']);
    expect(seen.arrived).toEqual(['a', 'b', 'c']);
    expect(outbox.isEmpty).toBe(true);
  });

  it('keeps what did not arrive, says so, and sends it in order when the connection is back', async () => {
    const memory = new Memory();
    let isUp = false;
    const sent: string[] = [];
    const { outbox, seen } = setUp(shelfOf(memory), async (entry) => {
      if (!isUp) throw offline;
      sent.push(entry.id);
    });
    outbox.add(answer('a'));
    outbox.add(answer('b'));
    await vi.advanceTimersByTimeAsync(10);
    expect(outbox.status).toMatchObject({ waiting: 2, isStuck: true, isKept: true });
    expect(outboxSentence(outbox.status)).toContain('2 answers are waiting to be sent.');
    expect(memory.length).toBe(2);
    isUp = true;
    await vi.advanceTimersByTimeAsync(40_000);
    expect(sent).toEqual(['a', 'b']);
    expect(seen.arrived).toEqual(['a', 'b']);
    expect(memory.length).toBe(0);
    expect(outboxSentence(outbox.status)).toBe('');
  });

  it('waits longer between tries, and not for ever', async () => {
    const times: number[] = [];
    const { outbox } = setUp(new NoShelf(), async () => {
      times.push(Date.now());
      throw offline;
    });
    outbox.add(answer('a'));
    await vi.advanceTimersByTimeAsync(120_000);
    const waits = times.slice(1).map((time, index) => time - (times[index] as number));
    expect(waits.slice(0, 5)).toEqual([1000, 2000, 4000, 8000, 15_000]);
    expect(Math.max(...waits)).toBe(15_000);
  });

  it('sends what an earlier page left behind before anything new', async () => {
    const memory = new Memory();
    shelfOf(memory, () => 4).put(answer('old'));
    const sent: string[] = [];
    const { outbox } = setUp(shelfOf(memory), async (entry) => void sent.push(entry.id));
    outbox.add(answer('new'));
    await vi.advanceTimersByTimeAsync(10);
    expect(sent).toEqual(['old', 'new']);
  });

  it('takes the same answer once', async () => {
    const send = vi.fn(async () => undefined);
    const { outbox } = setUp(new NoShelf(), send);
    outbox.add(answer('a'));
    outbox.add(answer('a'));
    await vi.advanceTimersByTimeAsync(10);
    expect(send).toHaveBeenCalledTimes(1);
  });

  it('does not go on asking for what the server will never take, and sends the rest', async () => {
    const { outbox, seen } = setUp(new NoShelf(), async (entry) => {
      if (entry.id === 'a') throw new ApiError('This study does not ask that question.', 400);
    });
    outbox.add(answer('a'));
    outbox.add(answer('b'));
    await vi.advanceTimersByTimeAsync(10);
    expect(seen).toMatchObject({ refused: ['a'], arrived: ['b'] });
  });

  it('tries at once when told to, without a second sender', async () => {
    let isUp = false;
    const sent: string[] = [];
    const { outbox } = setUp(new NoShelf(), async (entry) => {
      if (!isUp) throw offline;
      sent.push(entry.id);
    });
    outbox.add(answer('a'));
    await vi.advanceTimersByTimeAsync(10);
    isUp = true;
    await Promise.all([outbox.flush(), outbox.flush()]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sent).toEqual(['a']);
  });

  it('warns where the browser keeps nothing', async () => {
    const memory = new Memory();
    memory.isFull = true;
    const { outbox } = setUp(shelfOf(memory), async () => {
      throw offline;
    });
    outbox.add(answer('a'));
    await vi.advanceTimersByTimeAsync(10);
    expect(outbox.status.isKept).toBe(false);
    expect(outboxSentence(outbox.status)).toContain('Do not close this tab');
  });

  it('knows which items are as good as done, and counts answers alone', () => {
    const { outbox } = setUp(new NoShelf(), () => new Promise(() => undefined));
    outbox.add(answer('a'));
    outbox.add(answer('b', false));
    outbox.add({ id: 'v', kind: 'viewing', token: 'token-a', body: {} });
    expect([...outbox.completing]).toEqual(['token-a']);
    expect(outbox.status.waiting).toBe(2);
  });
});

describe('StorageShelf', () => {
  it('keeps the order of two pages, and nothing but its own', () => {
    const memory = new Memory();
    memory.setItem('other', 'x');
    const first = shelfOf(memory, () => 1);
    const second = shelfOf(memory, () => 2);
    second.put(answer('c'));
    first.put(answer('a'));
    first.put(answer('b'));
    expect(second.list().map((one) => one.id)).toEqual(['a', 'b', 'c']);
    first.remove('c');
    expect(second.list().map((one) => one.id)).toEqual(['a', 'b']);
    expect(memory.getItem('other')).toBe('x');
  });

  it('drops what is not readable', () => {
    const memory = new Memory();
    memory.setItem('reading-p-1', '{');
    expect(shelfOf(memory).list()).toEqual([]);
    expect(memory.length).toBe(0);
  });
});

describe('isPassing', () => {
  it.each([[0, true], [401, true], [403, true], [429, true], [503, true], [400, false], [404, false], [409, false]])(
    'HTTP %i: %s',
    (status, passing) => {
      expect(isPassing(new ApiError('x', status))).toBe(passing);
    },
  );
});
