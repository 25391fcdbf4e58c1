import { describe, expect, it } from 'vitest';
import {
  completeLabels,
  decodeMask,
  encodeMask,
  freeValue,
  joinSegments,
  rgb,
  segmentsDiffer,
  spareColor,
  toSegments,
  toValues,
  type Label,
  type Shape,
} from '../src/viewer/maskcodec';

const labels: Label[] = [
  { value: 6, name: 'liver', color: '#c8713d' },
  { value: 117, name: 'rib', color: '#d9cfae' },
  { value: 40_000, name: 'far', color: '#ffffff' },
];
const shape: Shape = [2, 3, 4];

function painted(): Uint16Array<ArrayBuffer> {
  const values = new Uint16Array(24);
  values.set([6, 6, 0, 117], 5);
  values[23] = 40_000;
  return values;
}

describe('mask codec', () => {
  it('gives back what it took', async () => {
    const bytes = await encodeMask(painted());
    expect(await decodeMask(bytes, shape)).toEqual(painted());
  });

  it('writes zlib over little-endian words', async () => {
    const bytes = new Uint8Array(await encodeMask(Uint16Array.of(0x0102)));
    expect(bytes[0]).toBe(0x78);
    const raw = await new Response(
      new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate')),
    ).arrayBuffer();
    expect([...new Uint8Array(raw)]).toEqual([0x02, 0x01]);
  });

  it('refuses a mask of another size', async () => {
    const bytes = await encodeMask(painted());
    await expect(decodeMask(bytes, [2, 3, 5])).rejects.toThrow('24 voxels where 30');
  });

  it('turns values into segments and back, whatever their size', () => {
    const segments = toSegments(painted(), labels);
    expect([...segments.subarray(5, 9)]).toEqual([1, 1, 0, 2]);
    expect(segments[23]).toBe(3);
    const back = new Uint16Array(24);
    toValues(segments.subarray(0, 12), labels, back, 0);
    toValues(segments.subarray(12), labels, back, 12);
    expect(back).toEqual(painted());
  });

  it('names values that have no label, and drops a label of the value 0', () => {
    const complete = completeLabels([{ value: 0, name: 'air', color: '#000000' }, labels[0] as Label], painted());
    expect(complete.map((label) => label.value)).toEqual([6, 117, 40_000]);
    expect(complete[1]?.name).toBe('Label 117');
  });

  it('refuses more labels than can be drawn', () => {
    const values = Uint16Array.from({ length: 300 }, (_, index) => index);
    expect(() => completeLabels([], values)).toThrow('at most 255');
  });
});

describe('segments of a stack', () => {
  const slices = (): Uint8Array[] => [Uint8Array.of(0, 1, 2), Uint8Array.of(0, 0, 3)];

  it('are joined in the order of the slices; a lost slice stays empty', () => {
    expect([...joinSegments(slices(), 3)]).toEqual([0, 1, 2, 0, 0, 3]);
    expect([...joinSegments([undefined, Uint8Array.of(4, 5, 6)], 3)]).toEqual([0, 0, 0, 4, 5, 6]);
  });

  it('differ when a voxel of any slice is another than before', () => {
    const kept = joinSegments(slices(), 3);
    expect(segmentsDiffer(slices(), kept)).toBe(false);
    const [first, last] = slices() as [Uint8Array, Uint8Array];
    last[0] = 1;
    expect(segmentsDiffer([first, last], kept)).toBe(true);
    expect(segmentsDiffer([first, undefined], kept)).toBe(false);
  });

  it('differ from nothing as soon as a voxel is painted', () => {
    expect(segmentsDiffer([new Uint8Array(3), new Uint8Array(3)], null)).toBe(false);
    expect(segmentsDiffer([new Uint8Array(3), Uint8Array.of(0, 1, 0)], null)).toBe(true);
  });
});

describe('label colours', () => {
  it('reads hexadecimal colours', () => {
    expect(rgb('#c8713D')).toEqual([200, 113, 61]);
    expect(rgb('nonsense')).toEqual([255, 255, 255]);
  });

  it('makes colours that differ', () => {
    const colors = Array.from({ length: 60 }, (_, index) => spareColor(index));
    expect(new Set(colors).size).toBe(60);
    colors.forEach((color) => expect(color).toMatch(/^#[0-9a-f]{6}$/));
  });

  it('finds the smallest free value', () => {
    expect(freeValue([{ value: 1, name: 'a', color: '' }, { value: 3, name: 'b', color: '' }])).toBe(2);
  });
});
