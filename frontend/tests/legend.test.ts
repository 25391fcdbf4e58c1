import { describe, expect, it } from 'vitest';
import { type LegendMask, together } from '../src/viewer/legend';

/** A mask with these labels that remembers which are hidden. */
function mask(...labels: [number, string][]): LegendMask & { hidden: Set<number> } {
  const hidden = new Set<number>();
  return {
    hidden,
    labels: labels.map(([value, name]) => ({ value, name, color: '#ffffff' })),
    activeLabel: undefined,
    isVisible: (value) => !hidden.has(value),
    setVisible: (value, visible) => void (visible ? hidden.delete(value) : hidden.add(value)),
    selectLabel: () => undefined,
  };
}

describe('one legend for several masks', () => {
  const ours = mask([6, 'liver'], [7, 'spleen']);
  const others = mask([5, 'liver'], [6, 'aorta']);
  const both = together([ours, others]);
  const value = (name: string): number => both.labels.find((label) => label.name === name)?.value ?? -1;

  it('lists each structure once', () => {
    expect(both.labels.map((label) => label.name)).toEqual(['liver', 'spleen', 'aorta']);
  });

  it('shows and hides a structure wherever it is, by its name and not by its number', () => {
    both.setVisible(value('liver'), false);
    expect([...ours.hidden]).toEqual([6]);
    expect([...others.hidden]).toEqual([5]);
    expect(both.isVisible(value('liver'))).toBe(false);
    expect(both.isVisible(value('aorta'))).toBe(true);
    both.setVisible(value('liver'), true);
    expect(both.isVisible(value('liver'))).toBe(true);
  });
});
