import { describe, expect, it } from 'vitest';
import { words } from '../src/jobs/severity';

describe('a severity in words', () => {
  const grades = ['none', 'low', 'mild', 'severe'];

  it('names the grade at a whole number', () => {
    expect(words(0, grades)).toBe('0, none');
    expect(words(3, grades)).toBe('3, severe');
  });

  it('names both neighbours between two grades', () => {
    expect(words(1.5, grades)).toBe('1.5, low to mild');
    expect(words(0.1, grades)).toBe('0.1, none to low');
  });
});
