/** How long an item has been in view: the time that the page was hidden or paused does not count. */

export class ViewClock {
  private viewed = 0;
  private hidden = 0;
  private since: number | null = null;
  private isAway = false;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** From nothing, for a new item. */
  restart(): void {
    this.viewed = 0;
    this.hidden = 0;
    this.since = this.now();
  }

  /** Goes on after a pause. */
  resume(): void {
    this.since ??= this.now();
  }

  stop(): void {
    this.count();
    this.since = null;
  }

  /** The page was hidden, or is shown again. */
  setAway(isAway: boolean): void {
    this.count();
    this.isAway = isAway;
  }

  /** Seconds in view. */
  get seconds(): number {
    this.count();
    return this.viewed / 1000;
  }

  /** Seconds on screen while the page was hidden. */
  get away(): number {
    this.count();
    return this.hidden / 1000;
  }

  private count(): void {
    if (this.since === null) return;
    const now = this.now();
    if (this.isAway) this.hidden += now - this.since;
    else this.viewed += now - this.since;
    this.since = now;
  }
}
