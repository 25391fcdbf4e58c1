/** The images of items: opened from an opaque address, loaded ahead, and let go when they are read. */
import { Enums, cache, imageLoader } from '@cornerstonejs/core';
import { wadors } from '@cornerstonejs/dicom-image-loader';
import { getJson } from '../api';
import type { Window } from '../viewer/presets';
import type { Item } from './types';

type DicomJson = Record<string, { vr: string; Value?: unknown[] }>;

/** An item ready to be shown. */
export interface Opened {
  imageIds: string[];
  modality: string;
  window: Window | null;
  /** Between rows, between columns; null where unknown. */
  spacing_mm: [number, number] | null;
}

const numberAt = (metadata: DicomJson, tag: string, index = 0): number | null => {
  const value = metadata[tag]?.Value?.[index];
  return value === undefined || value === null ? null : Number(value);
};

function opened(item: Item, metadata: DicomJson): Opened {
  const frames = numberAt(metadata, '00280008') ?? 1;
  const instance = String(metadata['00080018']?.Value?.[0]);
  const center = numberAt(metadata, '00281050');
  const width = numberAt(metadata, '00281051');
  const rows = numberAt(metadata, '00280030');
  const columns = numberAt(metadata, '00280030', 1);
  const imageIds = Array.from({ length: frames }, (_, index) => {
    const id = `wadors:${location.origin}${item.series_url}/instances/${instance}/frames/${index + 1}`;
    wadors.metaDataManager.add(id, metadata as never);
    return id;
  });
  return {
    imageIds,
    modality: String(metadata['00080060']?.Value?.[0] ?? ''),
    window: center === null || width === null ? null : { center, width },
    spacing_mm: rows === null || columns === null ? null : [rows, columns],
  };
}

export class ItemLoader {
  private readonly known = new Map<string, Promise<Opened>>();

  /** The item's images by id, their metadata handed to the viewer; a failure is forgotten, so that it can be retried. */
  open(item: Item): Promise<Opened> {
    const before = this.known.get(item.token);
    if (before) return before;
    const coming = getJson<DicomJson[]>(`${item.series_url}/metadata`, 'application/dicom+json').then((series) =>
      opened(item, series[0] as DicomJson),
    );
    this.known.set(item.token, coming);
    coming.catch(() => this.known.delete(item.token));
    return coming;
  }

  /** Loads an item that is not on screen yet, its middle image first; whether all of it is here now. */
  async ahead(item: Item): Promise<boolean> {
    try {
      const { imageIds } = await this.open(item);
      const middle = Math.floor(imageIds.length / 2);
      const order = imageIds.map((_, index) => index).sort((a, b) => Math.abs(a - middle) - Math.abs(b - middle));
      for (const index of order) await this.load(imageIds[index] as string);
      return true;
    } catch {
      return false; // it is asked for again, and its failure shown, when it is opened
    }
  }

  private async load(imageId: string): Promise<void> {
    try {
      await imageLoader.loadAndCacheImage(imageId, { requestType: Enums.RequestType.Prefetch, priority: 0 });
    } catch (error) {
      if (cache.getImageLoadObject(imageId)) cache.removeImageLoadObject(imageId);
      throw error;
    }
  }

  /** Forgets the images of an item that has been read. */
  async release(token: string): Promise<void> {
    const coming = this.known.get(token);
    this.known.delete(token);
    const gone = await coming?.catch(() => null);
    gone?.imageIds.forEach((id) => {
      if (cache.getImageLoadObject(id)) cache.removeImageLoadObject(id);
      wadors.metaDataManager.remove(id);
    });
  }
}
