/** A map of values over one image: laid on its pixels, with a legend, an opacity and a readout. */
import { utilities } from '@cornerstonejs/core';
import { getBytes } from '../api';
import type { Rgba } from './heatscale';
import { type Shape, decodeMask } from './maskcodec';
import type { StackView } from './stack';

/** Colours a canvas, pixel by pixel in row order. */
function painted(canvas: HTMLCanvasElement, colours: (index: number) => Rgba): void {
  const context = canvas.getContext('2d');
  if (!context) return;
  const image = context.createImageData(canvas.width, canvas.height);
  for (let index = 0; index < canvas.width * canvas.height; index += 1) {
    image.data.set(colours(index), 4 * index);
  }
  context.putImageData(image, 0, 0);
}

/** Puts a canvas of one colour per pixel exactly on the pixels of a viewport's image. */
function layOver(canvas: HTMLCanvasElement, view: StackView, [, rows, columns]: Shape): void {
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
function opacitySlider(first: number, onOpacity: (opacity: number) => void): HTMLElement {
  const label = document.createElement('label');
  label.className = 'heat-legend__opacity';
  label.title = 'Opacity';
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

/** What every map is told by the server. */
export interface MapConfig {
  url: string;
  shape: Shape;
}

/** One map on one viewport, slice by slice; it stays on the image's pixels under zoom and pan. */
export abstract class MapLayer<Config extends MapConfig> {
  private readonly canvas: HTMLCanvasElement;
  private values: Uint16Array | Int16Array | null = null;
  private slice = -1;

  /** `kind` names the canvas as data-KIND="map". */
  constructor(
    private readonly view: StackView,
    host: HTMLElement,
    readonly config: Config,
    kind: string,
  ) {
    this.canvas = document.createElement('canvas');
    this.canvas.className = 'heat';
    this.canvas.dataset[kind] = 'map';
    this.canvas.hidden = true;
    this.canvas.height = config.shape[1];
    this.canvas.width = config.shape[2];
    host.append(this.canvas);
  }

  /** The values as they were stored, read as this map's type. */
  protected abstract typed(stored: Uint16Array): Uint16Array | Int16Array;

  /** The colour of a stored value. */
  protected abstract colour(value: number): Rgba;

  /** A stored value in words. */
  protected abstract words(value: number): string;

  /** Fetches and draws the values. */
  async load(): Promise<void> {
    const values = this.typed(await decodeMask(await getBytes(this.config.url), this.config.shape));
    this.values = values;
    this.canvas.hidden = false;
    this.place();
  }

  /** Draws the map of the slice on screen and lays it on the image's pixels; called whenever these changed. */
  place(): void {
    this.paint();
    layOver(this.canvas, this.view, this.config.shape);
  }

  private paint(): void {
    const { values } = this;
    const slice = this.view.index % this.config.shape[0];
    if (!values || slice === this.slice) return;
    this.slice = slice;
    const from = this.first();
    painted(this.canvas, (index) => this.colour(values[from + index] as number));
  }

  /** Where the slice on screen begins among the values. */
  private first(): number {
    return Math.max(this.slice, 0) * this.config.shape[1] * this.config.shape[2];
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
    const value = this.values?.[this.first() + row * this.config.shape[2] + column];
    return value === undefined || !this.isShown ? '' : this.words(value);
  }
}

export interface Legend {
  /** Names the element as data-KIND="legend". */
  kind: string;
  className: string;
  /** Colours along the bar. */
  width: number;
  colour: (index: number) => Rgba;
  ticks: Iterable<string>;
  /** The opacity to begin with, in percent. */
  opacity: number;
}

/** A legend with its opacity slider; `onOpacity` gets 0..1. */
export function mapLegend(of: Legend, onOpacity: (opacity: number) => void): HTMLElement {
  const legend = document.createElement('div');
  legend.className = of.className;
  legend.dataset[of.kind] = 'legend';
  const bar = document.createElement('canvas');
  bar.className = 'heat-legend__bar';
  bar.width = of.width;
  bar.height = 1;
  bar.setAttribute('aria-hidden', 'true');
  painted(bar, of.colour);
  const ticks = document.createElement('span');
  ticks.className = 'heat-legend__ticks number';
  for (const text of of.ticks) {
    const tick = document.createElement('span');
    tick.textContent = text;
    ticks.append(tick);
  }
  const scale = document.createElement('span');
  scale.className = 'heat-legend__scale';
  scale.append(bar, ticks);
  legend.append(scale, opacitySlider(of.opacity, onOpacity));
  return legend;
}
