/** How the item on screen is looked at: its clock, its log, and what was seen of it before a pause. */
import { ViewClock } from './clock';
import type { Stage } from './stage';
import type { Item } from './types';
import { type ViewingReport, ViewingRecorder } from './viewing';

export class Look {
  private readonly clock = new ViewClock();
  private readonly recorder = new ViewingRecorder(this.clock);
  /** Seconds that an item was in view before the present showing, by token. */
  private readonly before = new Map<string, number>();
  private item: Item | null = null;

  /** An item has come up. */
  begin(item: Item, stage: Stage): void {
    this.item = item;
    this.clock.restart();
    this.clock.setAway(document.hidden);
    this.recorder.restart(stage.look.slice);
    this.note(stage);
  }

  /** Slice, window or zoom may have changed. */
  note(stage: Stage): void {
    if (!this.item) return;
    const { slice, window, zoom } = stage.look;
    this.recorder.onSlice(slice);
    if (window) this.recorder.onWindow(window);
    this.recorder.onZoom(zoom);
  }

  setAway(isAway: boolean): void {
    this.clock.setAway(isAway);
  }

  /** Seconds that the item has been in view on this page, pauses and looks away left out. */
  secondsOf(item: Item): number {
    const now = this.item?.token === item.token ? this.clock.seconds : 0;
    return Math.round(((this.before.get(item.token) ?? 0) + now) * 1000) / 1000;
  }

  /** Ends the look at the item: what to report of it, or null where there was none. */
  end(stage: Stage): { token: string; log: ViewingReport } | null {
    const { item } = this;
    if (!item) return null;
    const log = this.recorder.report(stage.screen);
    this.before.set(item.token, this.secondsOf(item));
    this.clock.stop();
    this.item = null;
    return { token: item.token, log };
  }
}
