/** The list of a mask's labels: colour, name, shown or hidden, and which one is painted. */
import type { MaskLayer } from './mask';
import type { Label } from './maskcodec';

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

function eye(mask: MaskLayer, label: Label, redraw: () => void): HTMLButtonElement {
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

function choice(mask: MaskLayer, label: Label, paints: boolean): HTMLElement {
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
  /** The values to list; all where it is missing. */
  only?: ReadonlySet<number>;
}

/** Draws the legend anew; the focus stays on the control that had it. */
export function drawLegend(list: HTMLElement, mask: MaskLayer, options: LegendOptions): void {
  const held = document.activeElement instanceof HTMLElement && list.contains(document.activeElement)
    ? document.activeElement
    : null;
  const heldLabel = held?.dataset['label'];
  const heldRadio = held instanceof HTMLInputElement ? held.value : null;
  const redraw = (): void => drawLegend(list, mask, options);
  list.replaceChildren(
    ...mask.labels.filter((label) => options.only?.has(label.value) ?? true).map((label) => {
      const item = document.createElement('li');
      item.className = 'mask-legend__item';
      item.append(choice(mask, label, options.paints), eye(mask, label, redraw));
      return item;
    }),
  );
  if (heldLabel) list.querySelector<HTMLElement>(`[data-label="${heldLabel}"]`)?.focus();
  if (heldRadio) list.querySelector<HTMLElement>(`input[value="${heldRadio}"]`)?.focus();
}
