/** A mask over a stack: drawn, painted, undone, read back and saved. */
import { cache, eventTarget, imageLoader, utilities } from '@cornerstonejs/core';
import { Enums, segmentation } from '@cornerstonejs/tools';
import { getBytes, postForm } from '../api';
import {
  type Label,
  type Shape,
  completeLabels,
  decodeMask,
  encodeMask,
  joinSegments,
  rgb,
  segmentsDiffer,
  toSegments,
  toValues,
  voxels,
} from './maskcodec';
import { clearHistory, firstDrawing } from './maskdrawing';
import type { StackView } from './stack';
import type { MaskRef } from './types';

const LABELMAP = Enums.SegmentationRepresentations.Labelmap;
const { DefaultHistoryMemo } = utilities.HistoryMemo;

let serial = 0;

export class MaskLayer {
  private segmentationId: string | null = null;
  private labelImages: string[] = [];
  private list: Label[] = [];
  private saved: MaskRef | null = null;
  private dirty = false;
  private saving = false;
  private kept: Uint8Array | null = null; // the segments as loaded or last saved; null: all empty
  private quiet = false;
  private alpha = 0.45;
  private readonly hidden = new Set<number>();
  private active = 1;
  private guarded = false;

  /** `onChange` is called when the mask, its labels or its being saved changes. */
  constructor(
    private readonly view: StackView,
    readonly shape: Shape,
    private readonly onChange: () => void,
  ) {
    eventTarget.addEventListener(Enums.Events.SEGMENTATION_DATA_MODIFIED, this.onPainted);
  }

  private readonly onPainted = (event: Event): void => {
    const id = (event as CustomEvent<{ segmentationId: string }>).detail.segmentationId;
    // Cornerstone also reports a change when it first draws a mask: only other voxels count.
    if (this.quiet || id !== this.segmentationId || this.dirty || !segmentsDiffer(this.slices(), this.kept)) return;
    this.dirty = true;
    this.onChange();
  };

  get isOpen(): boolean {
    return this.segmentationId !== null;
  }

  get labels(): readonly Label[] {
    return this.list;
  }

  get reference(): MaskRef | null {
    return this.saved;
  }

  /** Whether leaving would lose something: what is on its way to the server has not arrived. */
  get hasUnsaved(): boolean {
    return this.dirty || this.saving;
  }

  get isSaving(): boolean {
    return this.saving;
  }

  get activeLabel(): Label | undefined {
    return this.list[this.active - 1];
  }

  get opacity(): number {
    return this.alpha;
  }

  get protectsOthers(): boolean {
    return this.guarded;
  }

  isVisible(value: number): boolean {
    return !this.hidden.has(value);
  }

  /** Begins an empty mask with these labels. */
  async create(labels: readonly Label[]): Promise<void> {
    await this.begin(labels.filter((label) => label.value !== 0), null);
  }

  /**
   * Fetches a saved mask and shows it; `isWanted` says, once it is here, whether it is still wanted.
   * Resolves with whether it is shown.
   */
  async load(reference: MaskRef, isWanted: () => boolean = () => true): Promise<boolean> {
    if (reference.shape.join() !== this.shape.join()) {
      throw new Error(
        `This mask is ${reference.shape.join(' × ')} voxels, the images are ${this.shape.join(' × ')}.`,
      );
    }
    const values = await decodeMask(await getBytes(reference.url), reference.shape);
    if (!isWanted()) return false;
    const id = await this.begin(completeLabels(reference.labels, values), reference);
    if (id !== this.segmentationId) return false; // another was opened while this one was drawn
    const segments = toSegments(values, this.list);
    this.fill(segments);
    this.kept = segments;
    return true;
  }

  private async begin(labels: Label[], reference: MaskRef | null): Promise<string> {
    this.close();
    this.labelImages = await this.emptyImages();
    this.list = labels.map((label) => ({ ...label }));
    this.saved = reference;
    this.dirty = false;
    this.kept = null;
    this.hidden.clear();
    this.active = 1;
    serial += 1;
    const id = `mask-${serial}`;
    segmentation.addSegmentations([
      {
        segmentationId: id,
        representation: {
          type: LABELMAP,
          data: { imageIds: this.labelImages, referencedImageIds: [...this.view.ids] },
        },
        config: { label: reference?.name ?? 'New mask', segments: this.segments() },
      },
    ]);
    const drawn = firstDrawing(id);
    await segmentation.addSegmentationRepresentations(this.view.viewportId, [
      { segmentationId: id, type: LABELMAP, config: { colorLUTOrIndex: this.colors() } },
    ]);
    this.segmentationId = id;
    segmentation.activeSegmentation.setActiveSegmentation(this.view.viewportId, id);
    segmentation.segmentIndex.setActiveSegmentIndex(id, 1);
    this.style();
    await drawn;
    this.onChange();
    return id;
  }

  private segments(): Record<number, { segmentIndex: number; label: string; locked: boolean; active: boolean }> {
    return Object.fromEntries(
      this.list.map((label, index) => [
        index + 1,
        { segmentIndex: index + 1, label: label.name, locked: false, active: index === 0 },
      ]),
    );
  }

  private colors(): [number, number, number, number][] {
    const table: [number, number, number, number][] = [[0, 0, 0, 0]];
    for (let index = 0; index < 255; index += 1) {
      const label = this.list[index];
      table.push(label ? [...rgb(label.color), 255] : [255, 255, 255, 255]);
    }
    return table;
  }

  private async emptyImages(): Promise<string[]> {
    const rows = this.shape[1];
    const columns = this.shape[2];
    const images = this.view.ids.map((referenced, index) => {
      serial += 1;
      return imageLoader.createAndCacheDerivedLabelmapImage(referenced, {
        imageId: `derived:mask-${serial}-${index}`,
        skipCreateBuffer: false,
      } as never);
    });
    images.forEach((image) => {
      if (image.rows !== rows || image.columns !== columns) {
        throw new Error('The images of this series differ in size; it cannot carry a mask.');
      }
    });
    return images.map((image) => image.imageId);
  }

  private get sliceSize(): number {
    return this.shape[1] * this.shape[2];
  }

  private fill(segments: Uint8Array): void {
    const size = this.sliceSize;
    this.labelImages.forEach((imageId, index) => {
      const at = (index % this.shape[0]) * size; // those behind the stack, which blink, show it again
      const slice = segments.subarray(at, at + size);
      if (slice.some((segment) => segment !== 0)) this.scalarsOf(imageId)?.set(slice);
    });
    this.announce();
  }

  private scalarsOf(imageId: string): Uint8Array | undefined {
    const image = cache.getImage(imageId);
    return image && ((image.voxelManager?.getScalarData() ?? image.getPixelData()) as Uint8Array);
  }

  /** The segments of every slice as they are now; undefined where a slice was lost from memory. */
  private slices(): (Uint8Array | undefined)[] {
    return this.labelImages.map((imageId) => this.scalarsOf(imageId));
  }

  /** Redraws after the voxels were written directly. */
  private announce(): void {
    if (!this.segmentationId) return;
    this.quiet = true;
    segmentation.triggerSegmentationEvents.triggerSegmentationDataModified(this.segmentationId);
    this.quiet = false;
  }

  /** All voxels as label values, in the order [slices, rows, columns]. */
  values(): Uint16Array<ArrayBuffer> {
    const all = new Uint16Array(voxels(this.shape));
    this.slices().forEach((slice, index) => {
      if (!slice) throw new Error('A slice of the mask was lost from memory; reload the page.');
      toValues(slice, this.list, all, index * this.sliceSize);
    });
    return all;
  }

  /** Number of painted voxels on one slice, by label value. */
  counts(index: number): Map<number, number> {
    const counts = new Map<number, number>();
    const imageId = this.labelImages[index];
    const slice = imageId ? this.scalarsOf(imageId) : undefined;
    if (!slice) return counts;
    const bySegment = new Uint32Array(256);
    for (const segment of slice) bySegment[segment] = (bySegment[segment] as number) + 1;
    this.list.forEach((label, at) => counts.set(label.value, bySegment[at + 1] as number));
    return counts;
  }

  /** Saves to the case; the server refuses when somebody saved a newer version meanwhile. */
  async save(url: string, name: string): Promise<MaskRef> {
    const form = new FormData();
    form.append('name', name);
    form.append('labels', JSON.stringify(this.list));
    form.append('shape', JSON.stringify(this.shape));
    // Version 0 says: there is none of this name yet.
    form.append('expected_version', String(this.saved?.name === name ? this.saved.version : 0));
    const segments = joinSegments(this.slices(), this.sliceSize);
    const bytes = await encodeMask(this.values());
    form.append('voxels', new Blob([bytes], { type: 'application/octet-stream' }), 'mask.zz');
    const before = this.dirty;
    const id = this.segmentationId;
    this.dirty = false;
    this.saving = true;
    this.kept = segments;
    try {
      const saved = await postForm<MaskRef>(url, form);
      if (id === this.segmentationId) this.saved = saved; // else another mask was opened meanwhile
      return saved;
    } catch (error) {
      if (id === this.segmentationId) this.dirty = this.dirty || before;
      throw error;
    } finally {
      this.saving = false;
      this.onChange();
    }
  }

  selectLabel(value: number): void {
    const index = this.list.findIndex((label) => label.value === value);
    if (index < 0 || !this.segmentationId) return;
    this.active = index + 1;
    segmentation.segmentIndex.setActiveSegmentIndex(this.segmentationId, this.active);
    this.lock();
    this.onChange();
  }

  addLabel(label: Label): void {
    if (!this.segmentationId) return;
    this.list.push(label);
    const index = this.list.length;
    segmentation.updateSegmentations([
      { segmentationId: this.segmentationId, payload: { segments: this.segments() as never } },
    ]);
    this.paintColor(index, label.color);
    this.dirty = true;
    this.selectLabel(label.value);
  }

  private paintColor(index: number, color: string): void {
    if (!this.segmentationId) return;
    segmentation.config.color.setSegmentIndexColor(this.view.viewportId, this.segmentationId, index, [
      ...rgb(color),
      255,
    ]);
  }

  setVisible(value: number, visible: boolean): void {
    const index = this.list.findIndex((label) => label.value === value) + 1;
    if (index === 0 || !this.segmentationId) return;
    if (visible) this.hidden.delete(value);
    else this.hidden.add(value);
    segmentation.config.visibility.setSegmentIndexVisibility(
      this.view.viewportId,
      { segmentationId: this.segmentationId, type: LABELMAP },
      index,
      visible,
    );
    this.onChange();
  }

  /** Shows or hides the whole mask. */
  setShown(shown: boolean): void {
    if (!this.segmentationId) return;
    segmentation.config.visibility.setSegmentationRepresentationVisibility(
      this.view.viewportId,
      { segmentationId: this.segmentationId, type: LABELMAP },
      shown,
    );
  }

  setOpacity(alpha: number): void {
    this.alpha = Math.min(1, Math.max(0, alpha));
    this.style();
  }

  /** Whether painting leaves the other labels as they are. */
  setProtectOthers(protect: boolean): void {
    this.guarded = protect;
    this.lock();
  }

  private lock(): void {
    const id = this.segmentationId;
    if (!id) return;
    this.list.forEach((_, index) => {
      segmentation.segmentLocking.setSegmentIndexLocked(id, index + 1, this.guarded && index + 1 !== this.active);
    });
  }

  private style(): void {
    if (!this.segmentationId) return;
    segmentation.config.style.setStyle(
      { type: LABELMAP, viewportId: this.view.viewportId, segmentationId: this.segmentationId },
      {
        renderFill: true,
        fillAlpha: this.alpha,
        renderOutline: true,
        outlineWidth: 1.5,
        outlineOpacity: Math.min(1, this.alpha + 0.4),
      },
    );
    this.view.viewport.render();
  }

  undo(): boolean {
    if (!DefaultHistoryMemo.canUndo) return false;
    DefaultHistoryMemo.undo();
    return true;
  }

  redo(): boolean {
    if (!DefaultHistoryMemo.canRedo) return false;
    DefaultHistoryMemo.redo();
    return true;
  }

  /** Takes the mask off the viewport and forgets its voxels. */
  close(): void {
    if (this.segmentationId) segmentation.removeSegmentation(this.segmentationId);
    this.segmentationId = null;
    this.labelImages.forEach((imageId) => {
      if (cache.getImageLoadObject(imageId)) cache.removeImageLoadObject(imageId, { force: true });
    });
    this.labelImages = [];
    this.list = [];
    this.saved = null;
    this.dirty = false;
    clearHistory();
  }

  destroy(): void {
    this.close();
    eventTarget.removeEventListener(Enums.Events.SEGMENTATION_DATA_MODIFIED, this.onPainted);
  }
}
