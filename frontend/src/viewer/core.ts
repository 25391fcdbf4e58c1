/** Starts Cornerstone once per page, and tells it where a case's images are and what they mean. */
import {
  Enums,
  RenderingEngine,
  cache,
  eventTarget,
  getShouldUseCPURendering,
  init as coreInit,
} from '@cornerstonejs/core';
import { init as loaderInit, wadors } from '@cornerstonejs/dicom-image-loader';
import { init as toolsInit } from '@cornerstonejs/tools';
import { ApiError, getJson, sentenceFor } from '../api';
import { figure } from './geometry';
import type { CaseConfig } from './types';

const CACHE_BYTES = 1024 ** 3;
const SOP_INSTANCE_UID = '00080018';
const MODALITY = '00080060';

type DicomJson = Record<string, { vr: string; Value?: unknown[] }>;

let started: Promise<void> | null = null;

/** The loader leaves a second, unhandled rejection behind each failed request that it has reported. */
function dropReported(event: PromiseRejectionEvent): void {
  if (event.reason instanceof XMLHttpRequest) event.preventDefault();
}

async function start(): Promise<void> {
  addEventListener('unhandledrejection', dropReported);
  coreInit({ rendering: { webGlContextCount: 1 }, debug: {} });
  loaderInit({ maxWebWorkers: Math.min(4, Math.max(1, (navigator.hardwareConcurrency || 2) - 1)) });
  toolsInit();
  cache.setMaxCacheSize(CACHE_BYTES);
}

/** Starts the libraries; later calls wait for the first. */
export function viewerInit(): Promise<void> {
  started ??= start();
  return started;
}

/** Whether masks can be drawn and painted here; without WebGL images are shown by the processor alone. */
export function hasWebGL(): boolean {
  return !getShouldUseCPURendering();
}

let engines = 0;

/** A rendering engine of its own for one viewer, released when the page goes. */
export function createEngine(): RenderingEngine {
  engines += 1;
  const engine = new RenderingEngine(`engine-${engines}`);
  addEventListener('pagehide', (event) => {
    if (event.persisted) return;
    engine.destroy();
    cache.purgeCache();
  });
  return engine;
}

/** The image ids of a case in stack order, their metadata handed to the loader. */
export async function openSeries(config: CaseConfig): Promise<string[]> {
  const metadata = await getJson<DicomJson[]>(`${config.series_url}/metadata`, 'application/dicom+json');
  const bySop = new Map(metadata.map((item) => [String(item[SOP_INSTANCE_UID]?.Value?.[0]), item]));
  return config.frames.map(({ sop, frame }) => {
    const item = bySop.get(sop);
    if (!item) throw new Error('The series changed while this page was open; reload the page.');
    // Cornerstone stumbles over images that do not tell their modality.
    if (!item[MODALITY]?.Value?.length) item[MODALITY] = { vr: 'CS', Value: [config.modality] };
    const imageId = `wadors:${location.origin}${config.series_url}/instances/${sop}/frames/${frame}`;
    wadors.metaDataManager.add(imageId, item as never);
    return imageId;
  });
}

interface LoadErrorDetail {
  imageId?: string;
  error?: unknown;
}

/** Why an image did not load, as a sentence. */
export function loadFailure(error: unknown): string {
  const inner = error && typeof error === 'object' && 'error' in error ? error.error : error;
  if (inner instanceof XMLHttpRequest) return sentenceFor(inner.status);
  if (inner instanceof ApiError) return inner.message;
  if (inner instanceof Error && inner.message) return `It could not be decoded (${inner.message}).`;
  return 'It could not be decoded.';
}

/** Calls back for every image that fails to load (Cornerstone itself only leaves the canvas empty). */
export function onLoadError(callback: (imageId: string, reason: string) => void): () => void {
  const listener = (event: Event): void => {
    const detail = (event as CustomEvent<LoadErrorDetail>).detail;
    if (detail?.imageId) callback(detail.imageId, loadFailure(detail.error));
  };
  eventTarget.addEventListener(Enums.Events.IMAGE_LOAD_ERROR, listener);
  return () => eventTarget.removeEventListener(Enums.Events.IMAGE_LOAD_ERROR, listener);
}

/** The spacing for the overlay: `0.70 × 0.70 × 5 mm`, or a word where it is unknown. */
export function spacingText(config: CaseConfig): string {
  if (!config.spacing_mm) return 'spacing unknown';
  const [row, column, slice] = config.spacing_mm;
  const parts = [row, column, ...(slice ? [slice] : [])];
  return `${parts.map(figure).join(' × ')} mm`;
}
