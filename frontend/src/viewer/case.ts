/** The case page: one stack with its tools, windows, mask and keys. */
import type { RenderingEngine } from '@cornerstonejs/core';
import { createEngine, hasWebGL, openSeries, viewerInit } from './core';
import { type Action, bindButtons, bindKeys, fillHelp } from './keyboard';
import { MaskLayer } from './mask';
import { voxels, type Shape } from './maskcodec';
import { MaskPanel } from './maskpanel';
import { Overlay } from './overlay';
import { type Preset, firstPreset, presetOf, presetsFor } from './presets';
import { StackView } from './stack';
import { type Primary, ToolBelt, removeMeasurements } from './tools';
import type { CaseViewerConfig, MaskRef } from './types';

const SHOWN_AT_ONCE_VOXELS = 16 * 1024 ** 2;
const PAINTS: ReadonlySet<Primary> = new Set(['brush', 'eraser']);

export class CaseViewer {
  private readonly host: HTMLDivElement;
  private readonly overlay: Overlay;
  private readonly presets: Preset[];
  private engine: RenderingEngine | null = null;
  private view: StackView | null = null;
  private belt: ToolBelt | null = null;
  private mask: MaskLayer | null = null;
  private panel: MaskPanel | null = null;
  private inverted = false;

  /** `scope` holds the toolbar, the viewport and the panel. */
  constructor(
    private readonly scope: HTMLElement,
    private readonly root: HTMLElement,
    private readonly config: CaseViewerConfig,
  ) {
    this.host = root.querySelector<HTMLDivElement>('[data-viewport]') as HTMLDivElement;
    this.overlay = new Overlay(this.host, config.case, () => this.view);
    this.presets = presetsFor(config.case);
  }

  async start(): Promise<void> {
    const { config } = this;
    this.root.dataset['state'] = 'loading';
    await viewerInit();
    const actions = this.actions();
    bindKeys(this.scope, actions);
    bindButtons(this.scope, actions);
    const help = document.querySelector<HTMLDialogElement>('[data-viewer-help]');
    if (help) fillHelp(help, actions);
    this.fillPresets();
    this.bindSlider();
    if (!hasWebGL()) this.noteMissingWebGL();
    try {
      await this.open();
    } catch (error) {
      this.root.dataset['state'] = 'error';
      this.overlay.ready();
      const reason = error instanceof Error ? error.message : String(error);
      this.overlay.showError(`The images could not be opened. ${reason}`, () => location.reload());
      return;
    }
    // The keys work from here on, unless somebody is at work elsewhere on the page.
    if (document.activeElement === document.body) this.host.focus({ preventScroll: true });
    if (this.mask) await this.openFirstMask();
    this.root.dataset['renderer'] = hasWebGL() ? 'webgl' : 'cpu';
    if (config.case.is_synthetic) this.root.dataset['synthetic'] = 'yes';
  }

  private async open(): Promise<void> {
    const { config } = this;
    const imageIds = await openSeries(config.case);
    this.engine = createEngine();
    const view = new StackView(this.host, this.engine, 'case', {
      onChange: () => this.update(),
      onLoadError: (index, reason) => this.loadFailed(index, reason),
      onProgress: (loaded, total) => this.progress(loaded, total),
    });
    this.view = view;
    this.belt = new ToolBelt('case-tools', this.engine.id, ['case'], { masks: hasWebGL() });
    await view.open(imageIds, config.slice, config.case.window, firstPreset(this.presets));
    this.overlay.ready();
    if (hasWebGL()) {
      const shape: Shape = [imageIds.length, config.case.rows, config.case.columns];
      this.mask = new MaskLayer(view, shape, () => this.panel?.update());
      this.panel = new MaskPanel(this.scope, config, this.mask, {
        say: (message, isError) => this.say(message, isError),
        onBrush: (mm) => this.belt?.setBrushRadius(mm),
        onMask: () => this.linkSynthesis(),
      });
      this.panel.stepBrush(0);
    }
    if (this.root.dataset['state'] !== 'error') this.root.dataset['state'] = 'ready';
    this.activate('window');
    this.update();
  }

  private async openFirstMask(): Promise<void> {
    const { masks, mask } = this.config;
    const wanted: MaskRef | undefined = mask ? masks.find((one) => one.id === mask) : masks[0];
    if (wanted && (mask || voxels(wanted.shape) <= SHOWN_AT_ONCE_VOXELS)) await this.panel?.choose(wanted.id);
    this.linkSynthesis();
  }

  // --- what the keys and buttons do

  private actions(): Action[] {
    const tool = (primary: Primary, label: string, key: string, group: Action['group']): Action => ({
      id: `tool.${primary}`,
      label,
      group,
      keys: [key],
      run: () => this.activate(primary),
      enabled: () => !PAINTS.has(primary) || (this.mask !== null && this.config.may_annotate),
    });
    const step = (id: string, label: string, keys: string[], by: number): Action => ({
      id: `slice.${id}`, label, group: 'Slices', keys, repeats: true, run: () => this.view?.step(by),
    });
    const painted = (): boolean => this.mask !== null && this.config.may_annotate;
    return [
      step('next', 'Next slice', ['ArrowDown', 'ArrowRight'], 1),
      step('previous', 'Previous slice', ['ArrowUp', 'ArrowLeft'], -1),
      step('next-ten', 'Ten slices on', ['PageDown'], 10),
      step('previous-ten', 'Ten slices back', ['PageUp'], -10),
      step('first', 'First slice', ['Home'], -1e6),
      step('last', 'Last slice', ['End'], 1e6),
      tool('window', 'Window and level', 'w', 'Image'),
      tool('zoom', 'Zoom', 'z', 'Image'),
      tool('pan', 'Pan', 'p', 'Image'),
      { id: 'zoom.in', label: 'Larger', group: 'Image', keys: ['+', '='], repeats: true, run: () => this.view?.zoomBy(1.2) },
      { id: 'zoom.out', label: 'Smaller', group: 'Image', keys: ['-'], repeats: true, run: () => this.view?.zoomBy(1 / 1.2) },
      ...this.presets.map((preset, index): Action => ({
        id: `preset.${preset.id}`, label: `Window: ${preset.label}`, group: 'Image', keys: [String(index + 1)],
        run: () => this.view?.applyPreset(preset),
      })),
      { id: 'image.invert', label: 'Invert', group: 'Image', keys: ['i'], run: () => this.invert() },
      { id: 'image.reset', label: 'Fit and reset', group: 'Image', keys: ['r'], run: () => this.reset() },
      tool('length', 'Length', 'l', 'Measure'),
      tool('ellipse', 'Region: mean and SD', 'o', 'Measure'),
      tool('probe', 'Value at a point', 'v', 'Measure'),
      { id: 'measure.delete', label: 'Delete the selected measurement', group: 'Measure', keys: ['Delete', 'Backspace'], run: () => this.removeMeasures('selected') },
      { id: 'measure.clear', label: 'Delete all measurements', group: 'Measure', keys: ['shift+Delete'], run: () => this.removeMeasures('all') },
      tool('brush', 'Brush', 'b', 'Mask'),
      tool('eraser', 'Eraser', 'e', 'Mask'),
      { id: 'brush.smaller', label: 'Smaller brush', group: 'Mask', keys: ['['], repeats: true, enabled: painted, run: () => this.panel?.stepBrush(-1) },
      { id: 'brush.larger', label: 'Larger brush', group: 'Mask', keys: [']'], repeats: true, enabled: painted, run: () => this.panel?.stepBrush(1) },
      { id: 'mask.toggle', label: 'Show or hide the mask', group: 'Mask', keys: ['m'], run: () => this.panel?.toggle() },
      { id: 'mask.undo', label: 'Undo', group: 'Mask', keys: ['ctrl+z'], repeats: true, run: () => this.undo() },
      { id: 'mask.redo', label: 'Redo', group: 'Mask', keys: ['ctrl+shift+z', 'ctrl+y'], repeats: true, run: () => this.redo() },
      { id: 'mask.save', label: 'Save the mask', group: 'Mask', keys: ['ctrl+s'], enabled: painted, run: () => void this.panel?.save() },
      { id: 'help', label: 'This list of keys', group: 'Help', keys: ['?'], run: () => this.showHelp() },
    ];
  }

  private activate(primary: Primary): void {
    if (PAINTS.has(primary) && this.mask && !this.mask.isOpen && !this.panel?.isLoading) {
      void this.panel?.begin().then(() => this.panel?.update());
    }
    this.belt?.activate(primary);
    this.root.dataset['tool'] = primary;
    this.scope.querySelectorAll<HTMLElement>('[data-action^="tool."]').forEach((button) => {
      button.setAttribute('aria-pressed', String(button.dataset['action'] === `tool.${primary}`));
    });
  }

  private invert(): void {
    this.view?.invert();
    this.inverted = !this.inverted;
    this.scope
      .querySelector('[data-action="image.invert"]')
      ?.setAttribute('aria-pressed', String(this.inverted));
  }

  private reset(): void {
    if (this.inverted) this.invert();
    this.view?.fit();
    const first = firstPreset(this.presets);
    if (first) this.view?.applyPreset(first);
  }

  private removeMeasures(which: 'selected' | 'all'): void {
    const count = removeMeasurements(which);
    this.view?.viewport.render();
    this.say(count === 0 ? 'No measurement to delete.' : `${count} measurement(s) deleted.`);
  }

  private undo(): void {
    if (!this.mask?.undo()) this.say('Nothing to undo.');
  }

  private redo(): void {
    if (!this.mask?.redo()) this.say('Nothing to redo.');
  }

  private showHelp(): void {
    document.querySelector<HTMLDialogElement>('[data-viewer-help]')?.showModal();
  }

  // --- what the page shows

  private fillPresets(): void {
    const place = this.scope.querySelector<HTMLElement>('[data-presets]');
    place?.replaceChildren(
      ...this.presets.map((preset, index) => {
        const button = document.createElement('button');
        button.type = 'button';
        button.className = 'chip';
        button.dataset['action'] = `preset.${preset.id}`;
        button.setAttribute('aria-pressed', 'false');
        button.title = `Key ${index + 1}`;
        button.textContent = preset.label;
        return button;
      }),
    );
  }

  private bindSlider(): void {
    const slider = this.root.querySelector<HTMLInputElement>('[data-slider]');
    if (!slider) return;
    slider.max = String(this.config.case.frames.length);
    slider.addEventListener('input', () => void this.view?.show(Number(slider.value) - 1));
  }

  private update(): void {
    const { view, config } = this;
    if (!view) return;
    this.overlay.update();
    const slice = view.index;
    const changed = this.root.dataset['slice'] !== String(slice + 1);
    this.root.dataset['slice'] = String(slice + 1);
    if (view.hasImage()) {
      this.overlay.clearError();
      if (this.root.dataset['state'] === 'error') this.root.dataset['state'] = 'ready';
    }
    if (changed) {
      const slider = this.root.querySelector<HTMLInputElement>('[data-slider]');
      const position = config.case.frames[slice]?.position_mm;
      const where = typeof position === 'number' ? `, ${position.toFixed(1)} mm` : '';
      const text = `Slice ${slice + 1} of ${view.count}${where}`;
      if (slider) {
        slider.value = String(slice + 1);
        slider.setAttribute('aria-valuetext', text);
      }
      this.host.setAttribute('aria-label', `${config.case.name}: ${text}`);
      this.linkSynthesis();
    }
    const window = view.window;
    const preset = window ? presetOf(this.presets, window) : undefined;
    this.root.dataset['window'] = window ? `${Math.round(window.center)}/${Math.round(window.width)}` : '';
    this.scope.querySelectorAll<HTMLElement>('[data-presets] [data-action]').forEach((button) => {
      button.setAttribute('aria-pressed', String(button.dataset['action'] === `preset.${preset?.id}`));
    });
  }

  private linkSynthesis(): void {
    const links = this.scope.querySelectorAll<HTMLAnchorElement>('[data-synthesise], [data-counterfactual]');
    for (const link of links) {
      const address = new URL(link.href, location.origin);
      address.searchParams.set('case', this.config.case.id);
      const mask = this.mask?.reference;
      if (mask) address.searchParams.set('mask', mask.id);
      address.searchParams.set('slice', String(this.view?.index ?? this.config.slice));
      link.href = `${address.pathname}${address.search}`;
    }
  }

  private loadFailed(index: number, reason: string): void {
    this.overlay.ready();
    if (this.view && this.view.count > 0 && index !== this.view.index) return;
    this.root.dataset['state'] = 'error';
    this.overlay.showError(`Slice ${index + 1} could not be loaded. ${reason}`, () => void this.retry());
  }

  private async retry(): Promise<void> {
    this.overlay.clearError();
    this.host.focus({ preventScroll: true }); // the button that was pressed is gone
    await this.view?.retry();
    if (this.view?.hasImage()) {
      this.root.dataset['state'] = 'ready';
      this.say('The slice is loaded.');
    }
  }

  private progress(loaded: number, total: number): void {
    const bar = this.root.querySelector<HTMLProgressElement>('[data-progress]');
    if (!bar) return;
    bar.max = total;
    bar.value = loaded;
    bar.hidden = loaded >= total;
    this.root.dataset['loaded'] = String(loaded);
  }

  private noteMissingWebGL(): void {
    const notice = this.root.querySelector<HTMLElement>('[data-no-webgl]');
    if (notice) notice.hidden = false;
    this.scope.querySelectorAll<HTMLElement>('[data-needs-webgl]').forEach((part) => {
      part.hidden = true;
    });
  }

  private say(message: string, isError = false): void {
    const status = this.root.querySelector<HTMLElement>('[data-status]');
    if (!status) return;
    status.textContent = message;
    status.classList.toggle('viewer__status--error', isError);
  }
}
