/** The signed difference of an image from another, drawn over it: with legend, opacity and readout. */
import { getBytes } from '../api';
import { differenceColour, differenceTicks, signed } from './differencescale';
import { layOver, opacitySlider, painted } from './heat';
import { type Shape, decodeMask } from './maskcodec';
import type { StackView } from './stack';

/** What the server tells of a difference (webapp/jobs/edit_panes.py); values are int16 in `unit`. */
export interface DifferenceConfig {
  url: string;
  shape: Shape;
  unit: string;
  /** The size from which on the colour stays the same. */
  top: number;
}

const LEGEND_WIDTH = 129;

/** One difference on one viewport; it stays on the image's pixels under zoom and pan. */
export class DifferenceLayer {
  private readonly canvas: HTMLCanvasElement;
  private values: Int16Array | null = null;

  constructor(
    private readonly view: StackView,
    host: HTMLElement,
    readonly config: DifferenceConfig,
  ) {
    this.canvas = document.createElement('canvas');
    this.canvas.className = 'heat';
    this.canvas.dataset['difference'] = 'map';
    this.canvas.hidden = true;
    this.canvas.height = config.shape[1];
    this.canvas.width = config.shape[2];
    host.append(this.canvas);
  }

  /** Fetches and draws the values. */
  async load(): Promise<void> {
    const { url, shape, top } = this.config;
    const stored = await decodeMask(await getBytes(url), shape);
    const values = new Int16Array(stored.buffer, stored.byteOffset, stored.length);
    this.values = values;
    painted(this.canvas, (index) => differenceColour((values[index] as number) / top));
    this.canvas.hidden = false;
    this.place();
  }

  /** Lays the colours on the image's pixels; called whenever zoom or pan changed. */
  place(): void {
    layOver(this.canvas, this.view, this.config.shape);
  }

  setOpacity(opacity: number): void {
    this.canvas.style.opacity = String(Math.min(1, Math.max(0, opacity)));
  }

  setShown(shown: boolean): void {
    this.canvas.hidden = !shown || this.values === null;
  }

  get isShown(): boolean {
    return !this.canvas.hidden;
  }

  /** The difference at a pixel, for the readout. */
  reading(column: number, row: number): string {
    const value = this.values?.[row * this.config.shape[2] + column];
    return value === undefined || !this.isShown ? '' : `(${signed(value, this.config.unit)})`;
  }
}

/** The legend with its opacity slider; `onOpacity` gets 0..1. */
export function differenceLegend(config: DifferenceConfig, onOpacity: (opacity: number) => void): HTMLElement {
  const legend = document.createElement('div');
  legend.className = 'heat-legend heat-legend--difference';
  legend.dataset['difference'] = 'legend';
  const bar = document.createElement('canvas');
  bar.className = 'heat-legend__bar';
  bar.width = LEGEND_WIDTH;
  bar.height = 1;
  bar.setAttribute('aria-hidden', 'true');
  painted(bar, (index) => differenceColour((2 * index) / (LEGEND_WIDTH - 1) - 1));
  const ticks = document.createElement('span');
  ticks.className = 'heat-legend__ticks number';
  for (const text of differenceTicks(config)) {
    const tick = document.createElement('span');
    tick.textContent = text;
    ticks.append(tick);
  }
  const scale = document.createElement('span');
  scale.className = 'heat-legend__scale';
  scale.append(bar, ticks);
  legend.append(scale, opacitySlider(100, onOpacity));
  return legend;
}
