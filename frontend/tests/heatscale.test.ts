import { describe, expect, it } from 'vitest';
import { heatColour, heatTicks } from '../src/viewer/heatscale';

const lightness = ([red, green, blue]: readonly number[]): number =>
  0.2126 * (red as number) + 0.7152 * (green as number) + 0.0722 * (blue as number);

describe('the colours of a map', () => {
  it('grow lighter and more solid, and nothing is drawn at nothing', () => {
    const colours = Array.from({ length: 21 }, (_, index) => heatColour(index / 20));
    expect(colours[0]?.[3]).toBe(0);
    for (let index = 2; index < colours.length; index += 1) {
      const [before, after] = [colours[index - 1] as number[], colours[index] as number[]];
      expect(lightness(after)).toBeGreaterThan(lightness(before));
      expect(after[3] as number).toBeGreaterThan(before[3] as number);
    }
    expect(colours[20]?.[3]).toBe(255);
  });

  it('stay the same beyond the ends', () => {
    expect(heatColour(7)).toEqual(heatColour(1));
    expect(heatColour(-1)).toEqual(heatColour(0));
  });
});

describe('the legend of a map', () => {
  it('says numbers with their unit, and that the end is open', () => {
    expect(heatTicks({ top: 50, unit: 'HU' })).toEqual(['0', '25', '≥ 50 HU']);
    expect(heatTicks({ top: 120, unit: 'signal' })).toEqual(['0', '60', '≥ 120 (signal)']);
  });
});
