import { describe, expect, it } from 'vitest';
import { differenceColour, differenceTicks, signed } from '../src/viewer/differencescale';

const lightness = ([red, green, blue]: readonly number[]): number =>
  0.2126 * (red as number) + 0.7152 * (green as number) + 0.0722 * (blue as number);

describe('differenceColour', () => {
  it('leaves zero clear and is solid at both ends', () => {
    expect(differenceColour(0)[3]).toBe(0);
    expect(differenceColour(1)[3]).toBe(255);
    expect(differenceColour(-1)[3]).toBe(255);
    expect(differenceColour(7)).toEqual(differenceColour(1));
  });

  it('tells more from less by lightness too, and grows evenly on both sides', () => {
    expect(lightness(differenceColour(1)) - lightness(differenceColour(-1))).toBeGreaterThan(40);
    for (const share of [0.1, 0.4, 0.8]) {
      expect(differenceColour(share)[3]).toBe(differenceColour(-share)[3]);
      expect(differenceColour(share)[3]).toBeGreaterThan(differenceColour(share / 2)[3]);
    }
  });
});

describe('the figures', () => {
  it('name both ends with the unit', () => {
    expect(differenceTicks({ top: 50, unit: 'HU' })).toEqual(['≤ −50', '0', '≥ +50 HU']);
    expect(differenceTicks({ top: 100, unit: 'signal' })[2]).toBe('≥ +100 (signal)');
  });

  it('carry their sign', () => {
    expect(signed(12, 'HU')).toBe('+12 HU');
    expect(signed(-3, 'HU')).toBe('−3 HU');
    expect(signed(0, 'signal')).toBe('0');
  });
});
