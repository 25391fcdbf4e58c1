/** The mask section of the case page: choose, paint, name, save. */
import { ApiError } from '../api';
import { drawLegend } from './legend';
import type { MaskLayer } from './mask';
import { freeValue, spareColor } from './maskcodec';
import type { CaseViewerConfig, MaskRef } from './types';

const NEW = 'new';

export interface MaskPanelHooks {
  say: (message: string, isError?: boolean) => void;
  onBrush: (mm: number) => void;
  onMask: (reference: MaskRef | null) => void;
}

export class MaskPanel {
  private shown = true;
  private turn = 0; // counts what was chosen: an answer to an earlier choice comes too late
  private loading = false;

  constructor(
    private readonly root: HTMLElement,
    private readonly config: CaseViewerConfig,
    private readonly mask: MaskLayer,
    private readonly hooks: MaskPanelHooks,
  ) {
    this.fillSelect();
    this.listen();
    this.update();
  }

  private part<T extends HTMLElement>(name: string): T | null {
    return this.root.querySelector<T>(`[data-mask="${name}"]`);
  }

  private fillSelect(): void {
    const select = this.part<HTMLSelectElement>('select');
    if (!select) return;
    const options = [new Option('No mask', '')];
    for (const one of this.config.masks) options.push(new Option(`${one.name} (version ${one.version})`, one.id));
    if (this.config.may_annotate) options.push(new Option('New mask…', NEW));
    select.replaceChildren(...options);
    select.value = this.mask.reference?.id ?? (this.mask.isOpen ? NEW : '');
  }

  private listen(): void {
    this.part<HTMLSelectElement>('select')?.addEventListener('change', (event) => {
      void this.choose((event.target as HTMLSelectElement).value);
    });
    this.part<HTMLInputElement>('opacity')?.addEventListener('input', (event) => {
      this.mask.setOpacity(Number((event.target as HTMLInputElement).value) / 100);
    });
    this.part<HTMLInputElement>('brush')?.addEventListener('input', (event) => {
      this.setBrush(Number((event.target as HTMLInputElement).value));
    });
    this.part<HTMLInputElement>('protect')?.addEventListener('change', (event) => {
      this.mask.setProtectOthers((event.target as HTMLInputElement).checked);
    });
    this.part<HTMLFormElement>('save-form')?.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.save();
    });
    this.part<HTMLFormElement>('label-form')?.addEventListener('submit', (event) => {
      event.preventDefault();
      this.addLabel(event.target as HTMLFormElement);
    });
    addEventListener('beforeunload', (event) => {
      if (this.mask.hasUnsaved) event.preventDefault();
    });
  }

  /** Whether a mask is being fetched that will be shown. */
  get isLoading(): boolean {
    return this.loading;
  }

  private mayLeave(): boolean {
    return !this.mask.hasUnsaved || confirm('The painting on this mask is not saved. Leave it?');
  }

  /** Opens a mask by its id, begins a new one, or takes the mask away; asks before unsaved painting is lost. */
  async choose(id: string): Promise<void> {
    if (!this.mayLeave()) {
      this.fillSelect();
      return;
    }
    this.turn += 1;
    const { turn } = this;
    const reference = this.config.masks.find((one) => one.id === id);
    this.loading = reference !== undefined;
    try {
      if (reference) {
        this.hooks.say(`Loading the mask ${reference.name}…`);
        const isShown = await this.mask.load(reference, () => turn === this.turn && this.mayLeave());
        if (turn !== this.turn) return;
        if (isShown) this.mask.selectLabel(this.config.paint_first);
        this.hooks.say(isShown ? `The mask ${reference.name} is shown.` : 'Your painting is still here.');
      } else if (id === NEW) {
        await this.begin();
      } else {
        this.mask.close();
      }
      this.shown = true;
    } catch (error) {
      if (turn !== this.turn) return;
      if (!this.mask.hasUnsaved) this.mask.close();
      this.hooks.say(error instanceof Error ? error.message : String(error), true);
    } finally {
      if (turn === this.turn) this.loading = false;
    }
    this.fillSelect();
    this.update();
    this.hooks.onMask(this.mask.reference);
  }

  /** Begins an empty mask with the usual labels. */
  async begin(): Promise<void> {
    await this.mask.create(this.config.palette);
    this.mask.selectLabel(this.config.paint_first);
    const name = this.part<HTMLInputElement>('name');
    if (name) name.value = this.freeName();
    this.fillSelect();
    this.hooks.say('A new mask: choose a label and paint.');
  }

  private freeName(): string {
    const taken = new Set(this.config.masks.map((one) => one.name));
    let name = 'Painted mask';
    for (let number = 2; taken.has(name); number += 1) name = `Painted mask ${number}`;
    return name;
  }

  setBrush(mm: number): void {
    const input = this.part<HTMLInputElement>('brush');
    const low = Number(input?.min ?? 1);
    const high = Number(input?.max ?? 50);
    const radius = Math.min(high, Math.max(low, mm));
    if (input) input.value = String(radius);
    const output = this.part<HTMLElement>('brush-value');
    if (output) output.textContent = `${radius} mm`;
    this.hooks.onBrush(radius);
  }

  stepBrush(by: number): void {
    this.setBrush(Number(this.part<HTMLInputElement>('brush')?.value ?? 5) + by);
  }

  toggle(): void {
    this.shown = !this.shown;
    this.mask.setShown(this.shown);
    this.root.querySelector('[data-action="mask.toggle"]')?.setAttribute('aria-pressed', String(this.shown));
  }

  private addLabel(form: HTMLFormElement): void {
    const field = form.querySelector<HTMLInputElement>('input[name="label"]');
    const name = field?.value.trim() ?? '';
    if (!name) {
      this.hooks.say('Give the new label a name.', true);
      field?.focus();
      return;
    }
    if (this.mask.labels.some((label) => label.name.toLowerCase() === name.toLowerCase())) {
      this.hooks.say(`There is a label “${name}” already.`, true);
      return;
    }
    this.mask.addLabel({ value: freeValue(this.mask.labels), name, color: spareColor(this.mask.labels.length) });
    if (field) field.value = '';
    this.update();
    this.hooks.say(`The label “${name}” is added and chosen.`);
  }

  async save(): Promise<void> {
    if (!this.mask.isOpen) return;
    if (this.mask.isSaving) {
      this.hooks.say('The mask is being saved.');
      return;
    }
    const name = this.part<HTMLInputElement>('name')?.value.trim() ?? '';
    if (!name) {
      this.hooks.say('Give the mask a name before saving it.', true);
      this.part<HTMLInputElement>('name')?.focus();
      return;
    }
    const button = this.part<HTMLButtonElement>('save');
    button?.setAttribute('aria-busy', 'true');
    try {
      const saved = await this.mask.save(this.config.masks_url, name);
      this.config.masks = [saved, ...this.config.masks.filter((one) => one.name !== saved.name)];
      this.fillSelect();
      this.hooks.say(`Saved: ${saved.name}, version ${saved.version}.`);
      this.hooks.onMask(saved);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const kept = error instanceof ApiError && error.status === 409
        ? ' Save yours under another name, or open theirs from the list.'
        : '';
      this.hooks.say(`Not saved. ${reason}${kept} Your painting is still here.`, true);
    } finally {
      button?.removeAttribute('aria-busy');
      this.update();
    }
  }

  /** Draws the section anew from the mask's state. */
  update(): void {
    const { mask } = this;
    const open = mask.isOpen;
    const body = this.part<HTMLElement>('body');
    if (body) body.hidden = !open;
    const legend = this.part<HTMLElement>('legend');
    if (legend) drawLegend(legend, mask, { paints: this.config.may_annotate });
    const unsaved = this.part<HTMLElement>('unsaved');
    if (unsaved) unsaved.hidden = !mask.hasUnsaved;
    const name = this.part<HTMLInputElement>('name');
    if (name && mask.reference && document.activeElement !== name && !mask.hasUnsaved) {
      name.value = mask.reference.name;
    }
    const toggle = this.root.querySelector('[data-action="mask.toggle"]');
    toggle?.setAttribute('aria-pressed', String(open && this.shown));
    this.root.dataset['maskState'] = !open ? 'none' : mask.hasUnsaved ? 'unsaved' : 'saved';
    this.root.dataset['maskId'] = mask.reference?.id ?? '';
    this.root.dataset['maskVersion'] = String(mask.reference?.version ?? '');
  }
}
