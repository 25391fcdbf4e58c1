import { describe, expect, it } from 'vitest';
import { cross, figure, loadingOrder, oppositeLetters, orientationLetters, scaleBar } from '../src/viewer/geometry';

describe('orientation', () => {
  it('names the patient side of each axis', () => {
    expect(orientationLetters([1, 0, 0])).toBe('L');
    expect(orientationLetters([-1, 0, 0])).toBe('R');
    expect(orientationLetters([0, 1, 0])).toBe('P');
    expect(orientationLetters([0, 0, 1])).toBe('H');
  });

  it('puts the strongest part first and leaves out what is small', () => {
    expect(orientationLetters([0.6, -0.79, 0.05])).toBe('AL');
    expect(oppositeLetters('AL')).toBe('PR');
  });

  it('crosses right-handed', () => {
    expect(cross([1, 0, 0], [0, 1, 0])).toEqual([0, 0, 1]);
  });
});

describe('scaleBar', () => {
  it.each([
    [1, 150, 100, '10 cm'],
    [2, 150, 50, '5 cm'],
    [10, 150, 10, '1 cm'],
    [100, 150, 1, '1 mm'],
    [1000, 150, 0.1, '0.1 mm'],
  ])('%d px/mm in %d px gives %d mm', (scale, room, mm, label) => {
    const bar = scaleBar(scale, room);
    expect(bar?.mm).toBeCloseTo(mm, 10);
    expect(bar?.pixels).toBeLessThanOrEqual(room);
    expect(bar?.label).toBe(label);
  });

  it('is absent without a scale', () => {
    expect(scaleBar(0, 100)).toBeNull();
    expect(scaleBar(Number.NaN, 100)).toBeNull();
  });
});

describe('loadingOrder', () => {
  it('goes outward from the present slice and names each other slice once', () => {
    expect(loadingOrder(6, 2)).toEqual([3, 1, 4, 0, 5]);
    expect(loadingOrder(1, 0)).toEqual([]);
  });
});

describe('figure', () => {
  it.each([[113, '113'], [-772, '−772'], [0.8, '0.80'], [12.34, '12.3'], [Number.NaN, '–']])('%d reads %s', (value, text) => {
    expect(figure(value)).toBe(text);
  });
});
