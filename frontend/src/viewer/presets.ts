/** Window presets by modality, and a window that suits an image of no fixed scale. */

/** A window as DICOM states it: centre and width, in the image's own units. */
export interface Window {
  center: number;
  width: number;
}

/** A named window; the automatic one is worked out from the image that is shown. */
export interface Preset {
  id: string;
  label: string;
  window: Window | 'auto' | 'stored';
}

const CT_PRESETS: readonly Preset[] = [
  { id: 'soft-tissue', label: 'Soft tissue', window: { center: 40, width: 400 } },
  { id: 'liver', label: 'Liver', window: { center: 70, width: 150 } },
  { id: 'lung', label: 'Lung', window: { center: -600, width: 1500 } },
  { id: 'bone', label: 'Bone', window: { center: 400, width: 1800 } },
];

const STORED: Preset = { id: 'stored', label: 'As stored', window: 'stored' };
const AUTOMATIC: Preset = { id: 'auto', label: 'Automatic', window: 'auto' };

/** What decides which windows are offered. */
interface Source {
  modality: string;
  is_colour: boolean;
  window: Window | null;
}

/** The presets offered for a case, in the order of their number keys; none for colours. */
export function presetsFor({ modality, is_colour, window }: Source): Preset[] {
  if (is_colour) return [];
  const fixed = modality === 'CT' ? CT_PRESETS : [];
  return [...fixed, AUTOMATIC, ...(window ? [STORED] : [])];
}

/** The preset to begin with: the stored window, else the first of the list. */
export function firstPreset(presets: readonly Preset[]): Preset | undefined {
  return presets.find((one) => one.window === 'stored') ?? presets[0];
}

/** The preset whose window this is (within half a unit), if it is one of the fixed ones. */
export function presetOf(presets: readonly Preset[], window: Window): Preset | undefined {
  return presets.find(
    ({ window: fixed }) =>
      typeof fixed === 'object' &&
      Math.abs(fixed.center - window.center) < 0.5 &&
      Math.abs(fixed.width - window.width) < 0.5,
  );
}

/** Window of the values between the 1st and the 99th hundredth; at most 65,536 values are looked at. */
export function automaticWindow(values: ArrayLike<number>): Window {
  const stride = Math.max(1, Math.floor(values.length / 65_536));
  const sample: number[] = [];
  for (let index = 0; index < values.length; index += stride) {
    const value = values[index] as number;
    if (Number.isFinite(value)) sample.push(value);
  }
  if (sample.length === 0) return { center: 0, width: 1 };
  sample.sort((a, b) => a - b);
  const at = (part: number): number => sample[Math.round(part * (sample.length - 1))] as number;
  const low = at(0.01);
  const high = at(0.99);
  if (high > low) return { center: (low + high) / 2, width: high - low };
  const least = at(0);
  const most = at(1);
  return { center: (least + most) / 2, width: Math.max(most - least, 1) };
}
