/** Which items this page knows of, where the reader is, and where they go next. */
import type { Item, State } from './types';

export class Plan {
  private items = new Map<number, Item>();
  /** The position on screen, or to be shown next; from 0. */
  here = 0;
  /** The furthest position that was reached, on this page or, as the server says, on another. */
  reached = 0;
  total = 0;

  /** Takes in what the server said; of an item that is known already the page knows more. */
  absorb(state: State): void {
    this.total = state.total;
    this.reached = Math.max(this.reached, state.position);
    for (const item of state.items) {
      if (this.items.get(item.position)?.token !== item.token) this.items.set(item.position, item);
    }
  }

  /** Begins anew from what the server said; items whose answers are still on their way count as read. */
  restart(state: State, onTheirWay: ReadonlySet<string>): void {
    this.items = new Map();
    this.reached = 0;
    this.absorb(state);
    this.here = state.position;
    while (this.item && onTheirWay.has(this.item.token)) this.here += 1;
    this.reached = this.here;
  }

  /** An item as the server now tells of it, and goes to it. */
  goBack(item: Item): void {
    this.items.set(item.position, item);
    this.here = item.position;
  }

  /** Goes to the server's position, when another page went on. */
  jump(position: number): void {
    this.here = position;
    this.reached = Math.max(this.reached, position);
  }

  /** One item on; the token that is not needed any more, if items are not kept for looking back. */
  advance(isKept: boolean): string | null {
    const done = this.items.get(this.here);
    this.here += 1;
    this.reached = Math.max(this.reached, this.here);
    if (isKept || !done) return null;
    this.items.delete(done.position);
    return done.token;
  }

  /** Whether the item on screen was completed earlier. */
  get isLookingBack(): boolean {
    return this.here < this.reached;
  }

  get item(): Item | undefined {
    return this.items.get(this.here);
  }

  /** The known items after the one on screen, nearest first. */
  get ahead(): Item[] {
    return [...this.items.values()]
      .filter((one) => one.position > this.here)
      .sort((a, b) => a.position - b.position);
  }
}
