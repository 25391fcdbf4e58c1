/** The colours of a map of values, and the figures of its legend. */
import { figure } from './geometry';

export type Rgba = [red: number, green: number, blue: number, alpha: number];

const DARK: readonly number[] = [148, 58, 0];
const BRIGHT: readonly number[] = [255, 226, 138];

/** The colour of a share 0..1 of the top: one hue, which grows lighter and more solid. */
export function heatColour(share: number): Rgba {
  const at = Math.min(1, Math.max(0, share));
  const mix = (index: number): number =>
    Math.round((DARK[index] as number) + at * ((BRIGHT[index] as number) - (DARK[index] as number)));
  return [mix(0), mix(1), mix(2), Math.round(255 * at)];
}

/** The figures under the legend: nothing, the middle, and the top. */
export function heatTicks({ top, unit }: { top: number; unit: string }): string[] {
  return ['0', figure(top / 2), `≥ ${figure(top)}${unit === 'signal' ? ' (signal)' : ` ${unit}`}`];
}
