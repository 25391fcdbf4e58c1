/** A map of values over one image: drawn in one hue, with a numeric legend, opacity and a readout. */
import { utilities } from '@cornerstonejs/core';
import { getBytes } from '../api';
import { figure } from './geometry';
import { type Rgba, heatColour, heatTicks } from './heatscale';
import { type Shape, decodeMask } from './maskcodec';
import type { StackView } from './stack';

/** What the server tells of a map (webapp/jobs/uncertainty.py); stored value times `scale` is in `unit`. */
export interface HeatConfig {
  url: string;
  shape: Shape;
  scale: number;
  unit: string;
  /** The value from which on the colour stays the same. */
  top: number;
}

const LEGEND_WIDTH = 128;
const FIRST_OPACITY = 85; // percent

/** Colours a canvas, pixel by pixel in row order. */
export function painted(canvas: HTMLCanvasElement, colours: (index: number) => Rgba): void {
  const context = canvas.getContext('2d');
  if (!context) return;
  const image = context.createImageData(canvas.width, canvas.height);
  for (let index = 0; index < canvas.width * canvas.height; index += 1) {
    image.data.set(colours(index), 4 * index);
  }
  context.putImageData(image, 0, 0);
}

/** Puts a canvas of one colour per pixel exactly on the pixels of a viewport's image. */
export function layOver(canvas: HTMLCanvasElement, view: StackView, [, rows, columns]: Shape): void {
  const { viewport } = view;
  const data = view.hasImage() ? viewport.getImageData()?.imageData : undefined;
  if (!data) return;
  const at = (column: number, row: number): readonly [number, number] =>
    viewport.worldToCanvas(utilities.transformIndexToWorld(data, [column, row, 0])) as [number, number];
  const [left, top] = at(-0.5, -0.5);
  const [right, bottom] = at(columns - 0.5, rows - 0.5);
  canvas.style.left = `${left}px`;
  canvas.style.top = `${top}px`;
  canvas.style.width = `${right - left}px`;
  canvas.style.height = `${bottom - top}px`;
}

/** A slider for how solid a map is; `onOpacity` gets 0..1. */
export function opacitySlider(first: number, onOpacity: (opacity: number) => void): HTMLElement {
  const label = document.createElement('label');
  label.className = 'heat-legend__opacity';
  const words = document.createElement('span');
  words.textContent = 'Opacity';
  const slider = document.createElement('input');
  slider.type = 'range';
  slider.min = '0';
  slider.max = '100';
  slider.value = String(first);
  slider.addEventListener('input', () => onOpacity(Number(slider.value) / 100));
  label.append(words, slider);
  return label;
}

/** One map on one viewport; it stays on the image's pixels under zoom and pan. */
export class HeatLayer {
  private readonly canvas: HTMLCanvasElement;
  private values: Uint16Array | null = null;

  constructor(
    private readonly view: StackView,
    host: HTMLElement,
    readonly config: HeatConfig,
  ) {
    this.canvas = document.createElement('canvas');
    this.canvas.className = 'heat';
    this.canvas.dataset['heat'] = 'map';
    this.canvas.hidden = true;
    this.canvas.height = config.shape[1];
    this.canvas.width = config.shape[2];
    host.append(this.canvas);
    this.setOpacity(FIRST_OPACITY / 100);
  }

  /** Fetches and draws the values. */
  async load(): Promise<void> {
    const values = await decodeMask(await getBytes(this.config.url), this.config.shape);
    this.values = values;
    painted(this.canvas, (index) => heatColour(((values[index] as number) * this.config.scale) / this.config.top));
    this.canvas.hidden = false;
    this.place();
  }

  /** Lays the map on the image's pixels; called whenever zoom or pan changed. */
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

  /** What the map says of a pixel, for the readout. */
  reading(column: number, row: number): string {
    const value = this.values?.[row * this.config.shape[2] + column];
    if (value === undefined || !this.isShown) return '';
    const unit = this.config.unit === 'signal' ? '' : ` ${this.config.unit}`;
    return `± ${figure(Math.round(value * this.config.scale))}${unit}`;
  }
}

/** The legend with its opacity slider; `onOpacity` gets 0..1. */
export function heatLegend(config: HeatConfig, onOpacity: (opacity: number) => void): HTMLElement {
  const legend = document.createElement('div');
  legend.className = 'heat-legend';
  legend.dataset['heat'] = 'legend';
  const bar = document.createElement('canvas');
  bar.className = 'heat-legend__bar';
  bar.width = LEGEND_WIDTH;
  bar.height = 1;
  bar.setAttribute('aria-hidden', 'true');
  painted(bar, (index) => heatColour(index / (LEGEND_WIDTH - 1)));
  const ticks = document.createElement('span');
  ticks.className = 'heat-legend__ticks number';
  for (const text of heatTicks(config)) {
    const tick = document.createElement('span');
    tick.textContent = text;
    ticks.append(tick);
  }
  const scale = document.createElement('span');
  scale.className = 'heat-legend__scale';
  scale.append(bar, ticks);
  legend.append(scale, opacitySlider(FIRST_OPACITY, onOpacity));
  return legend;
}
