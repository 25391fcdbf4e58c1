/** The colours of a signed difference, and the figures of its legend. */
import { figure } from './geometry';
import type { Rgba } from './heatscale';

/** Told apart by the colour-blind, and not only by hue: less is a dark blue, more a bright orange. */
const LESS: readonly [number, number, number] = [64, 120, 255];
const MORE: readonly [number, number, number] = [255, 168, 48];

/** The colour of a share -1..1 of the top: nothing at zero, more solid away from it. */
export function differenceColour(share: number): Rgba {
  const at = Math.min(1, Math.max(-1, share));
  const [red, green, blue] = at < 0 ? LESS : MORE;
  return [red, green, blue, Math.round(255 * Math.abs(at))];
}

/** The figures under the legend, from the darkest to the brightest. */
export function differenceTicks({ top, unit }: { top: number; unit: string }): string[] {
  const words = unit === 'signal' ? ' (signal)' : ` ${unit}`;
  return [`≤ −${figure(top)}`, '0', `≥ +${figure(top)}${words}`];
}

/** A difference with its sign: "+12 HU". */
export function signed(value: number, unit: string): string {
  const sign = value > 0 ? '+' : '';
  return `${sign}${figure(value)}${unit === 'signal' ? '' : ` ${unit}`}`;
}
