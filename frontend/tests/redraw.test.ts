import { describe, expect, it } from 'vitest';
import { changedSince, said } from '../src/redraw';

function form(...pairs: [string, string][]): FormData {
  const data = new FormData();
  for (const [name, value] of pairs) data.append(name, value);
  return data;
}

describe('a form that is drawn anew', () => {
  it('knows what was changed since it was sent', () => {
    const then = said(form(['model', 'b'], ['undo', 'yes'], ['age', '58']));
    expect(changedSince(then, then)).toEqual({});
    const now = said(form(['model', 'b'], ['undo', ''], ['age', '61']));
    expect(changedSince(then, now)).toEqual({ undo: [''], age: ['61'] });
  });

  it('knows boxes that were ticked or cleared, and several values of a name', () => {
    const then = said(form(['label', '1'], ['label', '2'], ['noise', 'on']));
    const now = said(form(['label', '2'], ['label', '1'], ['heun', 'on']));
    expect(changedSince(then, now)).toEqual({ label: ['2', '1'], noise: [], heun: ['on'] });
  });
});
