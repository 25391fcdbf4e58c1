import { describe, expect, it } from 'vitest';
import { automaticWindow, firstPreset, presetOf, presetsFor } from '../src/viewer/presets';

const ct = { modality: 'CT', is_colour: false, window: null };

describe('presets', () => {
  it('begins with the stored window where there is one', () => {
    expect(firstPreset(presetsFor(ct))?.id).toBe('soft-tissue');
    expect(firstPreset(presetsFor({ ...ct, window: { center: 1, width: 2 } }))?.id).toBe('stored');
  });

  it('offers no window for colours', () => {
    expect(presetsFor({ ...ct, is_colour: true })).toEqual([]);
    expect(firstPreset([])).toBeUndefined();
  });

  it('offers the four CT windows before the automatic and the stored one', () => {
    const labels = presetsFor({ ...ct, window: { center: 1, width: 2 } }).map((preset) => preset.label);
    expect(labels).toEqual(['Soft tissue', 'Liver', 'Lung', 'Bone', 'Automatic', 'As stored']);
  });

  it('offers no Hounsfield windows for MR', () => {
    expect(presetsFor({ ...ct, modality: 'MR' }).map((preset) => preset.id)).toEqual(['auto']);
  });

  it('finds the preset of a window within half a unit, and only then', () => {
    const presets = presetsFor(ct);
    expect(presetOf(presets, { center: 40.4, width: 400 })?.id).toBe('soft-tissue');
    expect(presetOf(presets, { center: 41, width: 400 })).toBeUndefined();
  });
});

describe('automaticWindow', () => {
  it('spans the middle 98 hundredths, whatever the outliers', () => {
    const values = Float32Array.from({ length: 1001 }, (_, index) => index);
    values[1000] = 1e6;
    expect(automaticWindow(values)).toEqual({ center: 500, width: 980 });
  });

  it('keeps a width on an even image, and without one', () => {
    expect(automaticWindow(new Int16Array(64).fill(7))).toEqual({ center: 7, width: 1 });
    expect(automaticWindow([])).toEqual({ center: 0, width: 1 });
  });

  it('widens to all values where the middle is even', () => {
    const values = new Int16Array(1000);
    values[3] = 100;
    expect(automaticWindow(values)).toEqual({ center: 50, width: 100 });
  });
});
