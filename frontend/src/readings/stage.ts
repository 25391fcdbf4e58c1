/** The viewport of the reading page: one item at a time, with window, zoom and slice written beside it. */
import { Enums, type RenderingEngine } from '@cornerstonejs/core';
import { createEngine } from '../viewer/core';
import { figure, scaleBar } from '../viewer/geometry';
import { firstPreset, presetsFor } from '../viewer/presets';
import { StackView } from '../viewer/stack';
import { type Primary, ToolBelt } from '../viewer/tools';
import type { ItemLoader, Opened } from './items';
import type { Item } from './types';

export interface StageHooks {
  /** Slice, window or zoom changed while an item is on screen. */
  onLook: () => void;
}

function part(host: HTMLElement, className: string, tag = 'div'): HTMLElement {
  const element = document.createElement(tag);
  element.className = className;
  host.append(element);
  return element;
}

const VIEWPORT = 'reading';

export class Stage {
  private readonly engine: RenderingEngine = createEngine();
  private readonly view: StackView;
  private readonly belt: ToolBelt;
  private readonly marks: HTMLElement;
  private readonly corner: HTMLElement;
  private readonly sliceMark: HTMLElement;
  private readonly scale: HTMLElement;
  private readonly bar: HTMLElement;
  private readonly barLabel: HTMLElement;
  private readonly notice: HTMLElement;
  private item: Item | null = null;
  private opened: Opened | null = null;
  private fitted = 1;
  private failure: string | null = null;
  private inverted = false;

  constructor(
    private readonly host: HTMLDivElement,
    private readonly loader: ItemLoader,
    private readonly isFixed: boolean,
    private readonly hooks: StageHooks,
  ) {
    this.view = new StackView(host, this.engine, VIEWPORT, {
      onChange: () => this.changed(),
      onLoadError: (index, reason) => this.fail(index, reason),
    });
    this.belt = new ToolBelt('reading-tools', this.engine.id, [VIEWPORT], { masks: false, fixedWindow: isFixed });
    part(host, 'reading__loading').textContent = 'Loading the image…';
    this.marks = part(host, 'overlay');
    this.corner = part(this.marks, 'overlay__corner overlay__corner--bottom-left');
    this.sliceMark = part(this.marks, 'overlay__corner overlay__corner--top-right');
    this.scale = part(this.marks, 'overlay__scale reading__scale');
    this.barLabel = part(this.scale, 'overlay__scale-label', 'span');
    this.bar = part(this.scale, 'overlay__scale-bar', 'span');
    this.notice = part(host, 'overlay__notice');
    this.notice.setAttribute('role', 'alert');
    this.notice.hidden = true;
  }

  /** Takes the image away at once: nothing of one item stands beside the questions of the next. */
  clear(): void {
    this.item = null;
    this.opened = null;
    this.host.dataset['shown'] = 'no';
    this.notice.hidden = true;
  }

  /** Shows an item from its middle slice, fitted, in its own window; resolves with whether it is on screen. */
  async show(item: Item): Promise<boolean> {
    this.clear();
    this.item = item;
    this.failure = null;
    let opened: Opened;
    try {
      opened = await this.loader.open(item);
    } catch (error) {
      if (this.item === item) this.failed(error instanceof Error ? error.message : String(error));
      return false;
    }
    if (this.item !== item) return false;
    this.opened = opened;
    this.inverted = false;
    const preset = firstPreset(presetsFor({ modality: opened.modality, is_colour: false, window: opened.window }));
    await this.view.open(opened.imageIds, Math.floor(opened.imageIds.length / 2), opened.window, preset);
    if (this.item !== item || this.failure !== null || !this.view.hasImage()) return false;
    const drawn = this.drawn();
    this.view.fit();
    await drawn;
    if (this.item !== item || this.failure !== null) return false;
    this.fitted = this.view.viewport.getZoom();
    this.host.dataset['shown'] = 'yes';
    this.changed();
    return true;
  }

  /** The next drawing of the canvas; in a hidden tab that waits until the tab is seen. */
  private drawn(): Promise<void> {
    return new Promise((resolve) => {
      this.host.addEventListener(Enums.Events.IMAGE_RENDERED, () => resolve(), { once: true });
    });
  }

  // --- what the keys do

  activate(primary: Primary): void {
    this.belt.activate(primary);
  }

  get tool(): Primary {
    return this.belt.primary;
  }

  step(by: number): void {
    if (this.opened) this.view.step(by);
  }

  zoomBy(factor: number): void {
    if (this.opened) this.view.zoomBy(factor);
  }

  invert(): void {
    if (!this.opened) return;
    this.view.invert();
    this.inverted = !this.inverted;
  }

  /** Fitted, not inverted, in the item's own window. */
  reset(): void {
    if (!this.opened) return;
    if (this.inverted) this.invert();
    this.view.fit();
    if (!this.isFixed && this.opened.window) this.view.setWindow(this.opened.window);
  }

  // --- what the log asks

  /** Slice (from 0), window, zoom (1 is fitted). */
  get look(): { slice: number; count: number; window: { center: number; width: number } | null; zoom: number } {
    const zoom = this.view.viewport.getZoom() / (this.fitted || 1);
    return { slice: this.view.index, count: this.view.count, window: this.view.window, zoom };
  }

  get screen(): [number, number, number] {
    return [this.host.clientWidth, this.host.clientHeight, devicePixelRatio];
  }

  // --- what is written over the image

  private changed(): void {
    const { opened, view } = this;
    if (!opened || this.host.dataset['shown'] !== 'yes') return;
    const { slice, count, window, zoom } = this.look;
    const lines = [
      window && !this.isFixed ? `W ${figure(Math.round(window.width))}  L ${figure(Math.round(window.center))}` : '',
      `Zoom ${figure(Math.round(zoom * 100))} %`,
    ];
    this.corner.replaceChildren(...lines.filter(Boolean).map((line) => {
      const row = document.createElement('div');
      row.textContent = line;
      return row;
    }));
    this.sliceMark.textContent = count > 1 ? `Slice ${slice + 1}/${count}` : '';
    this.host.dataset['slice'] = String(slice + 1);
    this.host.dataset['window'] = window ? `${Math.round(window.center)}/${Math.round(window.width)}` : '';
    const bar = opened.spacing_mm ? scaleBar(view.scale, this.host.clientWidth / 4) : null;
    this.scale.hidden = bar === null;
    if (bar) {
      this.bar.style.width = `${bar.pixels.toFixed(1)}px`;
      this.barLabel.textContent = bar.label;
    }
    this.hooks.onLook();
  }

  private fail(index: number, reason: string): void {
    if (index !== this.view.index && this.host.dataset['shown'] === 'yes') return;
    this.failed(reason);
  }

  /** Says in the viewport what went wrong; the retry shows the item once more. */
  private failed(reason: string): void {
    this.failure = reason;
    const words = document.createElement('p');
    words.textContent = `This image could not be loaded. ${reason}`;
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = 'Try again';
    button.addEventListener('click', () => {
      this.host.focus({ preventScroll: true }); // the button that was pressed goes
      this.onRetry?.();
    });
    this.notice.replaceChildren(words, button);
    this.host.dataset['shown'] = 'failed';
    this.notice.hidden = false;
  }

  /** Set by the page: shows the present item once more. */
  onRetry: (() => void) | null = null;
}
