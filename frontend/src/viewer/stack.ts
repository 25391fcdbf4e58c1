/** One stack of images in one viewport: which slice, which window, how large, and what value lies where. */
import {
  Enums,
  type RenderingEngine,
  type StackViewport,
  type Types,
  cache,
  imageLoader,
  utilities,
} from '@cornerstonejs/core';
import { loadFailure, onLoadError } from './core';
import { loadingOrder } from './geometry';
import { type Preset, type Window, automaticWindow } from './presets';

/** A value under the pointer; row and column count from 0. */
export interface Reading {
  column: number;
  row: number;
  value: number | null;
}

export interface StackHooks {
  /** Slice, window, zoom or size changed. */
  onChange: () => void;
  onLoadError: (index: number, reason: string) => void;
  onProgress?: (loaded: number, total: number) => void;
}

const AHEAD_BYTES = 512 * 1024 ** 2;
const AT_ONCE = 3;

export class StackView {
  readonly viewport: StackViewport;
  private imageIds: string[] = [];
  private stored: Window | null = null;
  private readonly stops: (() => void)[] = [];
  private generation = 0;
  private readonly failed = new Set<number>();

  constructor(
    readonly element: HTMLDivElement,
    private readonly engine: RenderingEngine,
    readonly viewportId: string,
    private readonly hooks: StackHooks,
  ) {
    engine.enableElement({ viewportId, element, type: Enums.ViewportType.STACK });
    element.tabIndex = 0; // Cornerstone takes it out of the order of focus.
    this.viewport = engine.getViewport(viewportId) as StackViewport;
    this.listen();
  }

  private listen(): void {
    const { Events } = Enums;
    for (const name of [Events.STACK_NEW_IMAGE, Events.VOI_MODIFIED, Events.CAMERA_MODIFIED]) {
      const changed = (): void => this.hooks.onChange();
      this.element.addEventListener(name, changed);
      this.stops.push(() => this.element.removeEventListener(name, changed));
    }
    this.stops.push(
      onLoadError((imageId, reason) => {
        const index = this.imageIds.indexOf(imageId);
        if (index >= 0) this.fail(index, reason);
      }),
    );
    const resized = new ResizeObserver(() => this.resize());
    resized.observe(this.element);
    this.stops.push(() => resized.disconnect());
  }

  private resize(): void {
    if (this.imageIds.length === 0 || this.element.clientWidth === 0) return;
    this.engine.resize(true, true);
    this.hooks.onChange();
  }

  private fail(index: number, reason: string): void {
    this.failed.add(index);
    this.hooks.onLoadError(index, reason);
  }

  /** Shows a stack at a slice (from 0); resolves when that image is drawn or has failed. */
  async open(imageIds: string[], index: number, stored: Window | null, first?: Preset): Promise<void> {
    this.imageIds = imageIds;
    this.stored = stored;
    await this.viewport.setStack(imageIds, Math.min(Math.max(index, 0), imageIds.length - 1));
    if (first && this.hasImage()) this.applyPreset(first);
    this.viewport.render();
    void this.loadAhead();
  }

  get count(): number {
    return this.imageIds.length;
  }

  get index(): number {
    return this.viewport.getTargetImageIdIndex();
  }

  get ids(): readonly string[] {
    return this.imageIds;
  }

  /** Whether the slice on screen is the one asked for. */
  hasImage(): boolean {
    return this.imageIds.length > 0 && cache.isLoaded(this.imageIds[this.index] as string);
  }

  async show(index: number): Promise<void> {
    const wanted = Math.min(Math.max(Math.round(index), 0), this.count - 1);
    if (this.count === 0 || wanted === this.index) return;
    await this.viewport.setImageIdIndex(wanted);
    this.hooks.onChange();
  }

  step(by: number): void {
    void this.show(this.index + by);
  }

  /** Loads the present slice once more after a failure. */
  async retry(): Promise<void> {
    const index = this.index;
    const imageId = this.imageIds[index];
    if (!imageId) return;
    this.failed.delete(index);
    if (cache.getImageLoadObject(imageId)) cache.removeImageLoadObject(imageId);
    try {
      await imageLoader.loadAndCacheImage(imageId, this.viewport.getLoaderImageOptions(imageId));
      const had = this.viewport.getProperties().voiRange;
      await this.viewport.setStack([...this.imageIds], index);
      if (had) this.viewport.setProperties({ voiRange: had });
      this.viewport.render();
    } catch (error) {
      this.fail(index, loadFailure(error));
    }
    this.hooks.onChange();
  }

  get window(): Window | null {
    const range = this.viewport.getProperties().voiRange;
    if (!range) return null;
    const { windowCenter, windowWidth } = utilities.windowLevel.toWindowLevel(range.lower, range.upper);
    return { center: windowCenter, width: windowWidth };
  }

  setWindow({ center, width }: Window): void {
    const voiRange = utilities.windowLevel.toLowHighRange(Math.max(width, 1), center);
    this.viewport.setProperties({ voiRange });
    this.viewport.render();
    this.hooks.onChange();
  }

  applyPreset(preset: Preset): void {
    if (typeof preset.window === 'object') this.setWindow(preset.window);
    else if (preset.window === 'stored' && this.stored) this.setWindow(this.stored);
    else {
      const image = this.viewport.getCornerstoneImage();
      if (image) this.setWindow(automaticWindow(image.getPixelData()));
    }
  }

  invert(): void {
    this.viewport.setProperties({ invert: !this.viewport.getProperties().invert });
    this.viewport.render();
  }

  zoomBy(factor: number): void {
    this.viewport.setZoom(Math.min(Math.max(this.viewport.getZoom() * factor, 0.1), 60));
    this.viewport.render();
    this.hooks.onChange();
  }

  /** The image fitted to the viewport, in the middle. */
  fit(): void {
    this.viewport.resetCamera();
    this.viewport.render();
    this.hooks.onChange();
  }

  /** Screen pixels per millimetre (or per image pixel where the spacing is unknown). */
  get scale(): number {
    if (!this.hasImage()) return 0;
    // Without WebGL there is no answer until the first image is on the canvas.
    const a = this.viewport.canvasToWorld([0, 0]) as Types.Point3 | undefined;
    const b = this.viewport.canvasToWorld([100, 0]) as Types.Point3 | undefined;
    if (!a || !b) return 0;
    const length = Math.hypot(b[0] - a[0], b[1] - a[1], b[2] - a[2]);
    return length > 0 ? 100 / length : 0;
  }

  /** What lies under a point of the viewport; null outside the image. */
  readingAt(x: number, y: number): Reading | null {
    if (!this.hasImage()) return null;
    const image = this.viewport.getCornerstoneImage();
    const data = this.viewport.getImageData()?.imageData;
    if (!image || !data) return null;
    const world = this.viewport.canvasToWorld([x, y]);
    const at = utilities.transformWorldToIndex(data, world);
    const column = Math.round(at[0] as number);
    const row = Math.round(at[1] as number);
    if (column < 0 || row < 0 || column >= image.columns || row >= image.rows) return null;
    const pixels = image.getPixelData();
    if (image.color) return { column, row, value: null };
    const raw = pixels[row * image.columns + column] as number;
    return { column, row, value: image.preScale?.scaled ? raw : raw * image.slope + image.intercept };
  }

  private async loadAhead(): Promise<void> {
    this.generation += 1;
    const mine = this.generation;
    const image = this.viewport.getCornerstoneImage();
    const size = image?.sizeInBytes || 1024 ** 2;
    const room = Math.max(8, Math.floor(AHEAD_BYTES / size));
    const order = loadingOrder(this.count, this.index).slice(0, room - 1);
    let loaded = this.hasImage() ? 1 : 0;
    const total = order.length + 1;
    this.hooks.onProgress?.(loaded, total);
    const next = async (): Promise<void> => {
      for (let index = order.shift(); index !== undefined; index = order.shift()) {
        if (mine !== this.generation) return;
        const imageId = this.imageIds[index] as string;
        const options = {
          ...this.viewport.getLoaderImageOptions(imageId),
          requestType: Enums.RequestType.Prefetch,
          priority: 0,
        };
        try {
          await imageLoader.loadAndCacheImage(imageId, options);
          loaded += 1;
        } catch {
          // It is asked for again, and its failure shown, when somebody scrolls to it.
          if (cache.getImageLoadObject(imageId)) cache.removeImageLoadObject(imageId);
        }
        this.hooks.onProgress?.(loaded, total);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, next));
  }

  destroy(): void {
    this.generation += 1;
    this.stops.forEach((stop) => stop());
    this.engine.disableElement(this.viewportId);
  }
}
