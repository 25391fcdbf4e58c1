/** Linked viewports side by side: the source slice, the synthetic image, the image with its mask. */
import { createEngine, hasWebGL, openSeries, viewerInit } from './core';
import { DifferenceLayer, differenceLegend } from './difference';
import { HeatLayer, heatLegend } from './heat';
import { type Action, bindButtons, bindKeys } from './keyboard';
import { drawLegend, together } from './legend';
import { MaskLayer } from './mask';
import { Overlay } from './overlay';
import { firstPreset, presetsFor } from './presets';
import { StackView } from './stack';
import { type Primary, ToolBelt } from './tools';
import type { PaneConfig, ResultViewerConfig } from './types';

class Pane {
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

  /** The images of the viewport: the case's, and behind them the one that blinks. */
  async imageIds(): Promise<string[]> {
    const { blink, case: own } = this.config;
    const ids = await openSeries(own);
    return blink ? [...ids.slice(0, 1), ...(await openSeries(blink.case)).slice(0, 1)] : ids;
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
    return Boolean(this.config.blink) && this.view?.index === 1;
  }

  async blink(): Promise<void> {
    if (this.config.blink) await this.view?.show(this.isBlinked ? 0 : 1);
  }

  async showMask(shown: boolean): Promise<void> {
    this.maskShown = shown;
    if (shown) await this.loadMask();
    this.mask?.setShown(shown);
  }

  get showsMask(): boolean {
    return this.mask !== null && this.maskShown;
  }
}

export class ResultViewer {
  private readonly panes: Pane[] = [];
  private belt: ToolBelt | null = null;
  private following = false;
  private linked = true;

  constructor(
    private readonly root: HTMLElement,
    private readonly config: ResultViewerConfig,
  ) {}

  async start(): Promise<void> {
    this.root.dataset['state'] = 'loading';
    await viewerInit();
    const place = this.root.querySelector<HTMLElement>('[data-panes]') ?? this.root;
    place.dataset['count'] = String(this.config.panes.length);
    for (const config of this.config.panes) {
      const figure = document.createElement('section');
      figure.className = 'pane';
      place.append(figure);
      this.panes.push(new Pane(config, figure));
    }
    const engine = createEngine();
    await Promise.all(this.panes.map((pane, index) => this.openPane(pane, index, engine)));
    const ids = this.panes.flatMap((pane) => (pane.view ? [pane.view.viewportId] : []));
    this.belt = new ToolBelt('result-tools', engine.id, ids, { masks: false });
    this.bind();
    await this.loadMasks();
    await this.loadHeats();
    this.activate('window');
    if (this.root.dataset['state'] !== 'error') this.root.dataset['state'] = 'ready';
  }

  private async openPane(pane: Pane, index: number, engine: ReturnType<typeof createEngine>): Promise<void> {
    const source = pane.config.case;
    try {
      const imageIds = await pane.imageIds();
      pane.view = new StackView(pane.host, engine, `pane-${index}`, {
        onChange: () => this.changed(pane),
        onLoadError: (slice, reason) => {
          this.root.dataset['state'] = 'error';
          pane.overlay.ready();
          pane.overlay.showError(`Slice ${slice + 1} could not be loaded. ${reason}`, () => {
            pane.overlay.clearError();
            void pane.view?.retry();
          });
        },
      });
      await pane.view.open(imageIds, pane.config.slice, source.window, firstPreset(presetsFor(source)));
    } catch (error) {
      this.root.dataset['state'] = 'error';
      const reason = error instanceof Error ? error.message : String(error);
      pane.overlay.showError(`The images could not be opened. ${reason}`, () => location.reload());
    }
    pane.overlay.ready();
    pane.update();
  }

  private async loadMasks(): Promise<void> {
    for (const pane of this.panes) {
      try {
        await pane.loadMask();
      } catch (error) {
        this.say(error instanceof Error ? error.message : String(error));
      }
    }
    this.drawLegend();
    this.showMaskState();
  }

  private async loadHeats(): Promise<void> {
    for (const pane of this.panes) {
      try {
        await pane.loadHeat();
        await pane.loadDifference();
      } catch (error) {
        this.say(`The map could not be shown. ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    this.showHeatState();
  }

  private toggleHeats(): void {
    const shown = this.panes.some((pane) => pane.heat?.isShown);
    this.panes.forEach((pane) => pane.heat?.setShown(!shown));
    this.showHeatState();
  }

  private toggleDifferences(): void {
    const shown = this.panes.some((pane) => pane.difference?.isShown);
    this.panes.forEach((pane) => pane.difference?.setShown(!shown));
    this.press('difference.toggle', !shown);
  }

  private async blink(): Promise<void> {
    await Promise.all(this.panes.map((pane) => pane.blink()));
    const blinked = this.panes.find((pane) => pane.isBlinked);
    this.press('view.blink', Boolean(blinked));
    const pane = this.panes.find((one) => one.config.blink);
    this.say(`Shown: ${blinked?.config.blink?.title ?? pane?.config.title ?? ''}`);
  }

  private press(action: string, pressed: boolean): void {
    this.root.querySelector(`[data-action="${action}"]`)?.setAttribute('aria-pressed', String(pressed));
  }

  private showHeatState(): void {
    const shown = this.panes.some((pane) => pane.heat?.isShown);
    this.root.querySelector('[data-action="heat.toggle"]')?.setAttribute('aria-pressed', String(shown));
    this.root.dataset['heat'] = shown ? 'shown' : 'hidden';
  }

  /** Lists the labels that occur on the slice, below the panes or in the cell that they leave free. */
  private drawLegend(): void {
    const masked = this.panes.flatMap((pane) => (pane.mask ? [{ mask: pane.mask, slice: pane.config.slice }] : []));
    if (masked.length === 0 || this.root.querySelector('.pane--legend')) return;
    const present = masked.flatMap(({ mask, slice }) => {
      const counts = mask.counts(slice);
      return mask.labels.filter((label) => (counts.get(label.value) ?? 0) > 0).map((label) => label.name);
    });
    const place = this.root.querySelector<HTMLElement>('[data-panes]') ?? this.root;
    const section = document.createElement('section');
    section.className = 'pane pane--legend';
    const title = document.createElement('h2');
    title.className = 'pane__title';
    title.textContent = 'Labels';
    const list = document.createElement('ul');
    list.className = 'mask-legend';
    list.dataset['mask'] = 'legend';
    section.append(title, list);
    place.append(section);
    drawLegend(list, together(masked.map(({ mask }) => mask)), { paints: false, only: new Set(present) });
  }

  /** Carries zoom and pan, and the window among panes of the same modality, to the others. */
  private changed(from: Pane): void {
    from.update();
    from.heat?.place();
    from.difference?.place();
    const view = from.view;
    if (this.following || !this.linked || !view?.hasImage()) return;
    this.following = true;
    try {
      const zoom = view.viewport.getZoom();
      const pan = view.viewport.getPan();
      const window = view.window;
      for (const pane of this.panes) {
        if (pane === from || !pane.view?.hasImage()) continue;
        pane.view.viewport.setZoom(zoom);
        pane.view.viewport.setPan([pan[0], pan[1]]);
        const same = pane.config.case.modality === from.config.case.modality && from.config.case.units === 'HU';
        if (window && same) pane.view.setWindow(window);
        pane.view.viewport.render();
        pane.update();
        pane.heat?.place();
        pane.difference?.place();
      }
    } finally {
      this.following = false;
    }
  }

  private bind(): void {
    const tool = (primary: Primary, label: string, key: string): Action => ({
      id: `tool.${primary}`, label, group: 'Image', keys: [key], run: () => this.activate(primary),
    });
    const focused = (): StackView | null =>
      (this.panes.find((pane) => pane.host.contains(document.activeElement)) ?? this.panes[0])?.view ?? null;
    const actions: Action[] = [
      tool('window', 'Window and level', 'w'),
      tool('zoom', 'Zoom', 'z'),
      tool('pan', 'Pan', 'p'),
      tool('length', 'Length', 'l'),
      tool('ellipse', 'Region: mean and SD', 'o'),
      { id: 'zoom.in', label: 'Larger', group: 'Image', keys: ['+', '='], repeats: true, run: () => focused()?.zoomBy(1.2) },
      { id: 'zoom.out', label: 'Smaller', group: 'Image', keys: ['-'], repeats: true, run: () => focused()?.zoomBy(1 / 1.2) },
      { id: 'slice.next', label: 'Next slice', group: 'Slices', keys: ['ArrowDown'], repeats: true, run: () => focused()?.step(1) },
      { id: 'slice.previous', label: 'Previous slice', group: 'Slices', keys: ['ArrowUp'], repeats: true, run: () => focused()?.step(-1) },
      { id: 'image.reset', label: 'Fit', group: 'Image', keys: ['r'], run: () => focused()?.fit() },
      { id: 'mask.toggle', label: 'Show or hide the mask', group: 'Mask', keys: ['m'], run: () => this.toggleMasks() },
      { id: 'view.link', label: 'Link the viewports', group: 'Image', keys: ['k'], run: () => this.toggleLink() },
    ];
    if (this.config.panes.some((pane) => pane.heat)) {
      const label = 'Show or hide the uncertainty map';
      actions.push({ id: 'heat.toggle', label, group: 'Mask', keys: ['u'], run: () => this.toggleHeats() });
    }
    if (this.config.panes.some((pane) => pane.difference)) {
      const label = 'Show or hide the difference';
      actions.push({ id: 'difference.toggle', label, group: 'Image', keys: ['d'], run: () => this.toggleDifferences() });
    }
    if (this.config.panes.some((pane) => pane.blink)) {
      const label = 'Blink to the original and back';
      actions.push({ id: 'view.blink', label, group: 'Image', keys: ['b'], run: () => void this.blink() });
    }
    bindKeys(this.root, actions);
    bindButtons(this.root, actions);
  }

  private activate(primary: Primary): void {
    this.belt?.activate(primary);
    this.root.querySelectorAll<HTMLElement>('[data-action^="tool."]').forEach((button) => {
      button.setAttribute('aria-pressed', String(button.dataset['action'] === `tool.${primary}`));
    });
  }

  private toggleMasks(): void {
    const shown = this.panes.some((pane) => pane.showsMask);
    void Promise.all(this.panes.map((pane) => pane.showMask(!shown)))
      .catch((error: unknown) => this.say(error instanceof Error ? error.message : String(error)))
      .finally(() => {
        this.drawLegend();
        this.showMaskState();
      });
  }

  private showMaskState(): void {
    const shown = this.panes.some((pane) => pane.showsMask);
    this.root.querySelector('[data-action="mask.toggle"]')?.setAttribute('aria-pressed', String(shown));
    this.root.dataset['mask'] = shown ? 'shown' : 'hidden';
  }

  private toggleLink(): void {
    this.linked = !this.linked;
    this.root.querySelector('[data-action="view.link"]')?.setAttribute('aria-pressed', String(this.linked));
  }

  private say(message: string): void {
    const status = this.root.querySelector<HTMLElement>('[data-status]');
    if (status) status.textContent = message;
  }
}
