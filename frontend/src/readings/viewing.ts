/** How an item is looked at, for the viewing log: seconds by slice, windows as they were set, zoom, time away. */
import type { Window } from '../viewer/presets';
import type { ViewClock } from './clock';

/** As webapp/readings/viewing.py checks it. */
export interface ViewingReport {
  seconds: number;
  away: number;
  slices: Record<string, number>;
  windows: [number, number, number][];
  zoom: [number, number];
  screen: [number, number, number];
}

const MOST_WINDOWS = 64;
const SETTLED_S = 0.5;

const rounded = (value: number): number => Math.round(value * 1000) / 1000;

export class ViewingRecorder {
  private slices = new Map<number, number>();
  private windows: [number, number, number][] = [];
  private least = 1;
  private greatest = 1;
  private slice = 0;
  private since = 0;

  constructor(private readonly clock: ViewClock) {}

  /** A new item, its clock just restarted, at this slice (from 0). */
  restart(slice: number): void {
    this.slices = new Map();
    this.windows = [];
    this.least = 1;
    this.greatest = 1;
    this.slice = slice;
    this.since = 0;
  }

  onSlice(slice: number): void {
    if (slice === this.slice) return;
    this.count();
    this.slice = slice;
  }

  /** Windows set within half a second of each other are one dragging: the last of them stands. */
  onWindow({ center, width }: Window): void {
    const last = this.windows[this.windows.length - 1];
    const entry: [number, number, number] = [rounded(this.clock.seconds), rounded(center), rounded(width)];
    if (last && last[1] === entry[1] && last[2] === entry[2]) return;
    const isSame = last !== undefined && entry[0] - last[0] < SETTLED_S && this.windows.length > 1;
    if (isSame || this.windows.length >= MOST_WINDOWS) this.windows.pop();
    this.windows.push(entry);
  }

  /** 1 is the whole image fitted. */
  onZoom(zoom: number): void {
    this.least = Math.min(this.least, zoom);
    this.greatest = Math.max(this.greatest, zoom);
  }

  private count(): void {
    const now = this.clock.seconds;
    this.slices.set(this.slice, (this.slices.get(this.slice) ?? 0) + now - this.since);
    this.since = now;
  }

  report(screen: [number, number, number]): ViewingReport {
    this.count();
    return {
      seconds: rounded(this.clock.seconds),
      away: rounded(this.clock.away),
      slices: Object.fromEntries([...this.slices].map(([slice, seconds]) => [String(slice), rounded(seconds)])),
      windows: this.windows,
      zoom: [rounded(this.least), rounded(this.greatest)],
      screen,
    };
  }
}
