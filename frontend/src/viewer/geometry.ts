/** Plain geometry of the viewport's marks: orientation letters, scale bar, order of loading. */

export type Vector = readonly [number, number, number];

const OPPOSITE: Readonly<Record<string, string>> = { L: 'R', R: 'L', A: 'P', P: 'A', H: 'F', F: 'H' };

/**
 * The letters of the patient's side that a direction points to, strongest first.
 *
 * DICOM's patient axes: +x left, +y posterior, +z head. Parts below 0.1 of the length are left out.
 */
export function orientationLetters(direction: Vector): string {
  const [x, y, z] = direction;
  const parts: [number, string][] = [
    [Math.abs(x), x > 0 ? 'L' : 'R'],
    [Math.abs(y), y > 0 ? 'P' : 'A'],
    [Math.abs(z), z > 0 ? 'H' : 'F'],
  ];
  return parts
    .filter(([size]) => size > 0.1)
    .sort((a, b) => b[0] - a[0])
    .map(([, letter]) => letter)
    .join('');
}

/** The letters of the opposite side. */
export function oppositeLetters(letters: string): string {
  return [...letters].map((letter) => OPPOSITE[letter] ?? letter).join('');
}

export function cross(a: Vector, b: Vector): Vector {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

export interface ScaleBar {
  mm: number;
  pixels: number;
  label: string;
}

/** The longest bar of 1, 2 or 5 times a power of ten millimetres that fits into `available` pixels. */
export function scaleBar(pixelsPerMm: number, available: number): ScaleBar | null {
  if (!(pixelsPerMm > 0) || !(available > 0)) return null;
  const longest = available / pixelsPerMm;
  const power = 10 ** Math.floor(Math.log10(longest));
  const mm = ([5, 2, 1].find((step) => step * power <= longest) ?? 1) * power;
  const label = mm >= 10 ? `${mm / 10} cm` : `${Number(mm.toPrecision(3))} mm`;
  return { mm, pixels: mm * pixelsPerMm, label };
}

/** Indices of a stack in the order to load them: nearest to `from` first, ahead before behind. */
export function loadingOrder(count: number, from: number): number[] {
  const order: number[] = [];
  for (let distance = 1; distance < count; distance += 1) {
    if (from + distance < count) order.push(from + distance);
    if (from - distance >= 0) order.push(from - distance);
  }
  return order;
}

/** A number for the overlay: whole where it is large, two digits where it is small. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  const digits = size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2;
  return value.toFixed(digits).replace('-', '−');
}
