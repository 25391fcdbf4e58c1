/** One of several linked viewports: a stack with its title, its mask, its maps and the stack that blinks. */
import { hasWebGL, openSeries } from './core';
import { DifferenceLayer, differenceLegend } from './difference';
import { HeatLayer, heatLegend } from './heat';
import { MaskLayer } from './mask';
import { Overlay } from './overlay';
import type { StackView } from './stack';
import type { PaneConfig } from './types';

export class Pane {
  view: StackView | null = null;
  mask: MaskLayer | null = null;
  heat: HeatLayer | null = null;
  difference: DifferenceLayer | null = null;
  readonly overlay: Overlay;
  readonly host: HTMLDivElement;
  private maskShown: boolean;
  private readonly title: HTMLHeadingElement;

  constructor(
    readonly config: PaneConfig,
    private readonly figure: HTMLElement,
  ) {
    this.title = document.createElement('h2');
    this.title.className = 'pane__title';
    this.title.textContent = config.title;
    this.host = document.createElement('div');
    this.host.className = 'viewport';
    this.host.tabIndex = 0;
    this.host.setAttribute('role', 'group');
    this.host.setAttribute('aria-label', `${config.title}: ${config.case.name}`);
    figure.append(this.title, this.host);
    this.overlay = new Overlay(this.host, config.case, () => this.view);
    this.maskShown = config.show_mask ?? true;
  }

  /** Loads the mask where one is to be shown; a hidden one waits until somebody asks for it. */
  async loadMask(): Promise<void> {
    const { mask: reference, case: source } = this.config;
    if (!reference || !this.view || this.mask || !this.maskShown || !hasWebGL()) return;
    this.mask = new MaskLayer(this.view, [source.frames.length, source.rows, source.columns], () => undefined);
    await this.mask.load(reference);
  }

  /** Loads the map over the image, where there is one, with its legend under the title. */
  async loadHeat(): Promise<void> {
    const { heat } = this.config;
    if (!heat || !this.view) return;
    const layer = new HeatLayer(this.view, this.host, heat);
    await layer.load();
    this.heat = layer;
    this.overlay.alsoRead((column, row) => layer.reading(column, row));
    this.figure.insertBefore(heatLegend(heat, (opacity) => layer.setOpacity(opacity)), this.host);
    layer.place();
  }

  /** Loads the difference over the image, where there is one, with its legend under the title. */
  async loadDifference(): Promise<void> {
    const { difference } = this.config;
    if (!difference || !this.view) return;
    const layer = new DifferenceLayer(this.view, this.host, difference);
    await layer.load();
    this.difference = layer;
    this.overlay.alsoRead((column, row) => layer.reading(column, row));
    this.figure.insertBefore(differenceLegend(difference, (opacity) => layer.setOpacity(opacity)), this.host);
    layer.place();
  }

  /** The images of the viewport: the case's, and behind them those that blink. */
  async imageIds(): Promise<string[]> {
    const { blink, case: own } = this.config;
    const ids = await openSeries(own);
    return blink ? [...ids, ...(await openSeries(blink.case))] : ids;
  }

  /** How many slices the pane has. */
  get slices(): number {
    return this.config.case.frames.length;
  }

  /** The slice on screen, from 0, whichever of the two images blinks. */
  get slice(): number {
    return (this.view?.index ?? 0) % this.slices;
  }

  /** Shows a slice; the first and the last are ends. */
  async showSlice(slice: number): Promise<void> {
    const wanted = Math.min(Math.max(slice, 0), this.slices - 1);
    await this.view?.show(wanted + (this.isBlinked ? this.slices : 0));
  }

  /** Says which of the two images stands in the viewport. */
  update(): void {
    const { blink } = this.config;
    if (blink) {
      const now = this.isBlinked ? blink : this.config;
      this.title.textContent = now.title;
      this.host.dataset['blinked'] = this.isBlinked ? 'yes' : 'no';
      this.overlay.speakOf(now.case);
    }
    this.overlay.update();
  }

  get isBlinked(): boolean {
    return Boolean(this.config.blink) && (this.view?.index ?? 0) >= this.slices;
  }

  async blink(): Promise<void> {
    if (this.config.blink) await this.view?.show(this.slice + (this.isBlinked ? 0 : this.slices));
  }

  async showMask(shown: boolean): Promise<void> {
    this.maskShown = shown;
    if (shown) await this.loadMask();
    this.mask?.setShown(this.maskShown); // the last wish, where it changed while the mask was fetched
  }

  get showsMask(): boolean {
    return this.mask !== null && this.maskShown;
  }
}
