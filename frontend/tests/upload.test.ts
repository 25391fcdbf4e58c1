import { describe, expect, it } from 'vitest';
import { merged, size, summary } from '../src/cases/upload';

const chosen = (path: string, bytes: number) => ({ path, file: { size: bytes } as File });

describe('what was chosen', () => {
  it('is summed up in words', () => {
    expect(summary([])).toBe('Nothing chosen yet.');
    expect(summary([chosen('a', 999)])).toBe('1 file, 999 B');
    expect(summary([chosen('a', 1_500_000), chosen('b', 500_000)])).toBe('2 files, 2.0 MB');
  });

  it('does not hold the same path twice', () => {
    const first = chosen('scan/a.dcm', 1);
    const kept = merged([first], [chosen('scan/a.dcm', 2), chosen('scan/b.dcm', 3)]);
    expect(kept.map((one) => one.path)).toEqual(['scan/a.dcm', 'scan/b.dcm']);
    expect(kept[0]).toBe(first);
  });

  it('gives sizes one digit below ten of a unit', () => {
    expect([0, 999, 1000, 12_345, 2_000_000_000].map(size)).toEqual(['0 B', '999 B', '1.0 kB', '12 kB', '2.0 GB']);
  });
});
