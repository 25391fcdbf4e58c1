import { describe, expect, it, vi } from 'vitest';
import { type Action, actionFor, conflicts, keyLabel, keyName } from '../src/viewer/keyboard';

const press = (key: string, held: Partial<Record<'ctrlKey' | 'metaKey' | 'altKey' | 'shiftKey', boolean>> = {}) => ({
  key, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...held,
});

describe('keyName', () => {
  it.each([
    [press('w'), 'w'],
    [press('W', { shiftKey: true }), 'w'],
    [press('?', { shiftKey: true }), '?'],
    [press('ArrowUp'), 'ArrowUp'],
    [press('Delete', { shiftKey: true }), 'shift+Delete'],
    [press('z', { ctrlKey: true }), 'ctrl+z'],
    [press('z', { metaKey: true }), 'ctrl+z'],
    [press('Z', { ctrlKey: true, shiftKey: true }), 'ctrl+shift+z'],
  ])('%o is %s', (event, name) => {
    expect(keyName(event)).toBe(name);
  });
});

describe('keyLabel', () => {
  it.each([
    ['w', 'W'],
    ['ctrl+shift+z', 'Ctrl + Shift + Z'],
    ['PageDown', 'Page down'],
    ['+', '+'],
    ['[', '['],
  ])('%s reads %s', (name, label) => {
    expect(keyLabel(name)).toBe(label);
  });
});

describe('actionFor', () => {
  const run = vi.fn();
  const actions: Action[] = [
    { id: 'a', label: 'A', group: 'Image', keys: ['w', '='], run },
    { id: 'b', label: 'B', group: 'Slices', keys: ['ArrowDown'], repeats: true, run },
    { id: 'c', label: 'C', group: 'Mask', keys: ['b'], enabled: () => false, run },
  ];

  it('finds by any of its keys', () => {
    expect(actionFor(actions, '=', false)?.id).toBe('a');
    expect(actionFor(actions, 'q', false)).toBeUndefined();
  });

  it('repeats only what may repeat', () => {
    expect(actionFor(actions, 'w', true)).toBeUndefined();
    expect(actionFor(actions, 'ArrowDown', true)?.id).toBe('b');
  });

  it('leaves out what has nothing to act on', () => {
    expect(actionFor(actions, 'b', false)).toBeUndefined();
  });

  it('tells keys that two actions claim', () => {
    expect(conflicts(actions)).toEqual([]);
    expect(conflicts([...actions, { id: 'd', label: 'D', group: 'Help', keys: ['b'], run }])).toEqual(['b']);
  });
});
