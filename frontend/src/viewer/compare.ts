/** Linked viewports side by side: the source slice, the synthetic image, the image with its mask. */
import { createEngine, viewerInit } from './core';
import { type Action, bindButtons, bindKeys, fillHelp } from './keyboard';
import { drawLegend, together } from './legend';
import { Pane } from './pane';
import { firstPreset, presetsFor } from './presets';
import { StackView } from './stack';
import { type Primary, ToolBelt } from './tools';
import type { ResultViewerConfig } from './types';

/** Brings a row into sight within its own list; the page around it stays where it is. */
function scrollWithin(row: HTMLElement): void {
  const list = row.closest<HTMLElement>('.edit-slices');
  if (list) list.scrollTop = row.offsetTop - (list.clientHeight - row.offsetHeight) / 2;
}

/** Resolves once all is laid out and who watches sizes has seen it; at once where nothing is drawn. */
function laidOut(): Promise<void> {
  if (document.hidden) return Promise.resolve();
  return new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve())));
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
    this.followWheel();
    this.followLinks();
    this.tellSlice(this.panes[0]);
    await this.loadMasks();
    await this.loadHeats();
    this.activate('window');
    await laidOut(); // legends take room from their viewports
    // The keys work from here on, unless somebody is at work elsewhere on the page.
    if (document.activeElement === document.body) this.panes[0]?.host.focus({ preventScroll: true });
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
    this.root.querySelector('.pane--legend')?.remove();
    if (!this.panes.some((pane) => pane.showsMask)) return;
    const masked = this.panes.flatMap((pane) => (pane.mask ? [{ mask: pane.mask, slice: pane.config.slice }] : []));
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

  /** The wheel goes through the pane's slices, and never on to the image that lies behind them. */
  private followWheel(): void {
    for (const pane of this.panes) {
      const scroll = (event: WheelEvent): void => {
        if (event.ctrlKey || event.deltaY === 0) return;
        event.preventDefault();
        event.stopImmediatePropagation();
        this.go(pane, pane.slice + Math.sign(event.deltaY));
      };
      pane.host.addEventListener('wheel', scroll, { capture: true, passive: false });
    }
  }

  /** Links of the page that name a slice show it here instead of asking for the page again. */
  private followLinks(): void {
    document.querySelectorAll<HTMLElement>('[data-slice-link]').forEach((link) => {
      link.addEventListener('click', (event) => {
        event.preventDefault();
        this.go(this.panes[0], Number(link.dataset['sliceLink']));
      });
    });
  }

  /** Says what there is to be said of the slice on screen, and marks it in the page's list. */
  private tellSlice(pane: Pane | undefined): void {
    if (!pane || this.root.dataset['slice'] === String(pane.slice + 1)) return;
    this.root.dataset['slice'] = String(pane.slice + 1);
    const note = this.config.slice_notes?.[pane.slice];
    if (note) this.say(note);
    document.querySelectorAll<HTMLElement>('[data-slice-row]').forEach((row) => {
      const isShown = row.dataset['sliceRow'] === String(pane.slice);
      row.classList.toggle('is-shown', isShown);
      row.querySelector('a')?.setAttribute('aria-current', String(isShown));
      if (isShown) scrollWithin(row);
    });
  }

  /** Shows a slice of a pane, and of all linked ones that are stacks of as many slices. */
  private go(from: Pane | undefined, slice: number): void {
    if (!from) return;
    const together = this.linked ? this.panes.filter((pane) => pane.slices === from.slices) : [from];
    for (const pane of together) void pane.showSlice(slice);
  }

  /** Carries zoom and pan, and the window among panes of the same modality, to the others. */
  private changed(from: Pane): void {
    from.update();
    from.heat?.place();
    from.difference?.place();
    const view = from.view;
    this.tellSlice(from);
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
    const pane = (): Pane | undefined =>
      this.panes.find((one) => one.host.contains(document.activeElement)) ?? this.panes[0];
    const focused = (): StackView | null => pane()?.view ?? null;
    const step = (by: number): void => {
      const one = pane();
      if (one) this.go(one, one.slice + by);
    };
    const actions: Action[] = [
      tool('window', 'Window and level', 'w'),
      tool('zoom', 'Zoom', 'z'),
      tool('pan', 'Pan', 'p'),
      tool('length', 'Length', 'l'),
      tool('ellipse', 'Region: mean and SD', 'o'),
      { id: 'zoom.in', label: 'Larger', group: 'Image', keys: ['+', '='], repeats: true, run: () => focused()?.zoomBy(1.2) },
      { id: 'zoom.out', label: 'Smaller', group: 'Image', keys: ['-'], repeats: true, run: () => focused()?.zoomBy(1 / 1.2) },
      { id: 'slice.next', label: 'Next slice', group: 'Slices', keys: ['ArrowDown'], repeats: true, run: () => step(1) },
      { id: 'slice.previous', label: 'Previous slice', group: 'Slices', keys: ['ArrowUp'], repeats: true, run: () => step(-1) },
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
    actions.push({ id: 'help', label: 'This list of keys', group: 'Help', keys: ['?'], run: () => this.help?.showModal() });
    if (this.help) fillHelp(this.help, actions);
    bindKeys(this.root, actions);
    bindButtons(this.root, actions);
  }

  private get help(): HTMLDialogElement | null {
    return document.querySelector<HTMLDialogElement>('[data-viewer-help]');
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
