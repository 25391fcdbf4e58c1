/** The list of a mask's labels: colour, name, shown or hidden, and which one is painted. */
import type { Label } from './maskcodec';

/** What a legend lists and changes: one mask, or several as one (`together`). */
export interface LegendMask {
  readonly labels: readonly Label[];
  readonly activeLabel: Label | undefined;
  isVisible(value: number): boolean;
  setVisible(value: number, visible: boolean): void;
  selectLabel(value: number): void;
}

/**
 * Several masks under one legend: a structure is shown or hidden in all of them.
 *
 * The masks may number their labels differently, so structures are told apart by name; the values are
 * the legend's own.
 */
export function together(masks: readonly LegendMask[]): LegendMask {
  const named = new Map(masks.flatMap((mask) => mask.labels.map((label) => [label.name, label] as const)));
  const labels = [...named.values()].map((label, index) => ({ ...label, value: index + 1 }));
  const each = (value: number): [LegendMask, number][] =>
    masks.flatMap((mask) => {
      const own = mask.labels.find((label) => label.name === labels[value - 1]?.name);
      return own ? [[mask, own.value] as [LegendMask, number]] : [];
    });
  return {
    labels,
    activeLabel: undefined,
    isVisible: (value) => each(value).every(([mask, own]) => mask.isVisible(own)),
    setVisible: (value, visible) => each(value).forEach(([mask, own]) => mask.setVisible(own, visible)),
    selectLabel: () => undefined,
  };
}

/** An icon of the sprite whose address the page's head names. */
export function icon(name: string): SVGSVGElement {
  const sprite = document.querySelector<HTMLMetaElement>('meta[name="icon-sprite"]')?.content ?? '';
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `${sprite}#${name}`);
  svg.append(use);
  return svg;
}

function eye(mask: LegendMask, label: Label, redraw: () => void): HTMLButtonElement {
  const button = document.createElement('button');
  const shown = mask.isVisible(label.value);
  button.type = 'button';
  button.className = 'mask-legend__eye';
  button.dataset['label'] = String(label.value);
  button.setAttribute('aria-pressed', String(shown));
  button.setAttribute('aria-label', `Show ${label.name}`);
  button.append(icon(shown ? 'eye' : 'eye-off'));
  button.addEventListener('click', () => {
    mask.setVisible(label.value, !mask.isVisible(label.value));
    redraw();
  });
  return button;
}

function choice(mask: LegendMask, label: Label, paints: boolean): HTMLElement {
  const row = document.createElement(paints ? 'label' : 'span');
  row.className = 'mask-legend__label';
  if (paints) {
    const radio = document.createElement('input');
    radio.type = 'radio';
    radio.name = 'paint-label';
    radio.value = String(label.value);
    radio.checked = mask.activeLabel?.value === label.value;
    radio.addEventListener('change', () => mask.selectLabel(label.value));
    row.append(radio);
  }
  const swatch = document.createElement('span');
  swatch.className = 'mask-legend__swatch';
  swatch.style.backgroundColor = label.color;
  const name = document.createElement('span');
  name.className = 'mask-legend__name';
  name.textContent = label.name;
  row.append(swatch, name);
  return row;
}

export interface LegendOptions {
  /** Whether a label can be chosen for painting. */
  paints: boolean;
  /** The names to list; all where it is missing. */
  only?: ReadonlySet<string>;
}

/** Draws the legend anew; the focus stays on the control that had it. */
export function drawLegend(list: HTMLElement, mask: LegendMask, options: LegendOptions): void {
  const held = document.activeElement instanceof HTMLElement && list.contains(document.activeElement)
    ? document.activeElement
    : null;
  const heldLabel = held?.dataset['label'];
  const heldRadio = held instanceof HTMLInputElement ? held.value : null;
  const redraw = (): void => drawLegend(list, mask, options);
  list.replaceChildren(
    ...mask.labels.filter((label) => options.only?.has(label.name) ?? true).map((label) => {
      const item = document.createElement('li');
      item.className = 'mask-legend__item';
      item.append(choice(mask, label, options.paints), eye(mask, label, redraw));
      return item;
    }),
  );
  if (heldLabel) list.querySelector<HTMLElement>(`[data-label="${heldLabel}"]`)?.focus();
  if (heldRadio) list.querySelector<HTMLElement>(`input[value="${heldRadio}"]`)?.focus();
}
