/** How a mask travels and how it is drawn: uint16 label values on the wire, segment numbers 1..255 on screen. */

export interface Label {
  value: number;
  name: string;
  color: string;
}

export type Shape = readonly [slices: number, rows: number, columns: number];

export const MOST_LABELS = 255;

export function voxels(shape: Shape): number {
  return shape[0] * shape[1] * shape[2];
}

async function through(bytes: BlobPart, stream: CompressionStream | DecompressionStream): Promise<ArrayBuffer> {
  const piped = new Blob([bytes]).stream().pipeThrough(stream as ReadableWritablePair<Uint8Array, Uint8Array>);
  return new Response(piped as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer();
}

const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

function swapped(values: Uint16Array<ArrayBuffer>): Uint16Array<ArrayBuffer> {
  if (littleEndian) return values;
  return values.map((value) => ((value & 0xff) << 8) | (value >> 8));
}

/** zlib-compressed little-endian uint16, in the order [slices, rows, columns]. */
export async function encodeMask(values: Uint16Array<ArrayBuffer>): Promise<ArrayBuffer> {
  return through(swapped(values), new CompressionStream('deflate'));
}

/**
 * The values of a mask as it came from the server.
 *
 * Throws when the number of voxels is not that of the shape.
 */
export async function decodeMask(bytes: ArrayBuffer, shape: Shape): Promise<Uint16Array<ArrayBuffer>> {
  const raw = await through(bytes, new DecompressionStream('deflate'));
  if (raw.byteLength !== voxels(shape) * 2) {
    throw new Error(
      `The mask holds ${raw.byteLength / 2} voxels where ${voxels(shape)} (${shape.join(' × ')}) were expected.`,
    );
  }
  return swapped(new Uint16Array(raw));
}

/** The labels, and after them one for each value that occurs without having a label. */
export function completeLabels(labels: readonly Label[], values: Uint16Array): Label[] {
  const known = new Set(labels.map((label) => label.value));
  const missing = new Set<number>();
  let last = 0;
  for (const value of values) {
    if (value !== last && value !== 0 && !known.has(value)) missing.add(value);
    last = value;
  }
  const named = labels.filter((label) => label.value !== 0);
  const added = [...missing]
    .sort((a, b) => a - b)
    .map((value, index) => ({ value, name: `Label ${value}`, color: spareColor(named.length + index) }));
  const all = [...named, ...added];
  if (all.length > MOST_LABELS) {
    throw new Error(`This mask has ${all.length} labels; the viewer shows at most ${MOST_LABELS}.`);
  }
  return all;
}

/** Label values to segment numbers (1 for the first label); 0 stays 0. */
export function toSegments(values: Uint16Array, labels: readonly Label[]): Uint8Array<ArrayBuffer> {
  const table = new Uint8Array(65_536);
  labels.forEach((label, index) => {
    table[label.value] = index + 1;
  });
  const segments = new Uint8Array(values.length);
  for (let index = 0; index < values.length; index += 1) {
    segments[index] = table[values[index] as number] as number;
  }
  return segments;
}

/** Segment numbers back to label values, written into `target` from `offset` on. */
export function toValues(
  segments: ArrayLike<number>,
  labels: readonly Label[],
  target: Uint16Array,
  offset: number,
): void {
  const table = new Uint16Array(256);
  labels.forEach((label, index) => {
    table[index + 1] = label.value;
  });
  for (let index = 0; index < segments.length; index += 1) {
    target[offset + index] = table[segments[index] as number] as number;
  }
}

/** Whether any voxel is another than in `kept` (null: all empty); a slice lost from memory is passed over. */
export function segmentsDiffer(slices: readonly (Uint8Array | undefined)[], kept: Uint8Array | null): boolean {
  return slices.some((slice, index) => {
    const before = kept?.subarray(index * (slice?.length ?? 0));
    return slice?.some((segment, place) => segment !== (before?.[place] ?? 0)) ?? false;
  });
}

/** The segments of all slices in their order, `size` voxels each; a slice lost from memory stays empty. */
export function joinSegments(slices: readonly (Uint8Array | undefined)[], size: number): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(size * slices.length);
  slices.forEach((slice, index) => {
    if (slice) all.set(slice, index * size);
  });
  return all;
}

/** `#rrggbb` as red, green, blue from 0 to 255. */
export function rgb(color: string): [number, number, number] {
  const parts = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(color);
  if (!parts) return [255, 255, 255];
  return [1, 2, 3].map((index) => Number.parseInt(parts[index] as string, 16)) as [number, number, number];
}

function channel(value: number): string {
  return Math.round(Math.min(1, Math.max(0, value)) * 255)
    .toString(16)
    .padStart(2, '0');
}

/** A colour for the n-th label without one: hue by the golden angle, lightness in three steps. */
export function spareColor(index: number): string {
  const hue = (index * 137.508) % 360;
  const lightness = [0.62, 0.45, 0.78][index % 3] as number;
  const chroma = (1 - Math.abs(2 * lightness - 1)) * 0.7;
  const part = (shift: number): number => {
    const k = (shift + hue / 30) % 12;
    return lightness - (chroma / 2) * Math.max(-1, Math.min(k - 3, 9 - k, 1));
  };
  return `#${channel(part(0))}${channel(part(8))}${channel(part(4))}`;
}

/** The smallest free label value from 1 up. */
export function freeValue(labels: readonly Label[]): number {
  const taken = new Set(labels.map((label) => label.value));
  let value = 1;
  while (taken.has(value)) value += 1;
  return value;
}
