/** What is written over the image: corners, orientation letters, scale bar, readout, notices. */
import { cross, figure, oppositeLetters, orientationLetters, scaleBar, type Vector } from './geometry';
import { spacingText } from './core';
import type { StackView } from './stack';
import type { CaseConfig } from './types';

type Corner = 'top-left' | 'top-right' | 'bottom-left' | 'bottom-right';

function make<K extends keyof HTMLElementTagNameMap>(
  name: K,
  className: string,
  parent: HTMLElement,
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  element.className = className;
  parent.append(element);
  return element;
}

/** Units in the words of a reading room. */
export function unitWord(units: string): string {
  return units === 'signal' || units === '' ? '' : ` ${units}`;
}

export class Overlay {
  private readonly layer: HTMLElement;
  private readonly corners: Readonly<Record<Corner, HTMLElement>>;
  private readonly written: Partial<Record<Corner, string>> = {};
  private readonly letters: Readonly<Record<'top' | 'right' | 'bottom' | 'left', HTMLElement>>;
  private readonly bar: HTMLElement;
  private readonly barLabel: HTMLElement;
  private readonly readout: HTMLElement;
  private readonly notice: HTMLElement;
  private readonly skeleton: HTMLElement;
  private more: (column: number, row: number) => string = () => '';

  constructor(
    private readonly host: HTMLElement,
    private config: CaseConfig,
    private readonly view: () => StackView | null,
  ) {
    this.layer = make('div', 'overlay', host);
    const corner = (name: Corner): HTMLElement => make('div', `overlay__corner overlay__corner--${name}`, this.layer);
    this.corners = {
      'top-left': corner('top-left'),
      'top-right': corner('top-right'),
      'bottom-left': corner('bottom-left'),
      'bottom-right': corner('bottom-right'),
    };
    const letter = (side: string): HTMLElement => make('div', `overlay__letter overlay__letter--${side}`, this.layer);
    this.letters = { top: letter('top'), right: letter('right'), bottom: letter('bottom'), left: letter('left') };
    const scale = make('div', 'overlay__scale', this.layer);
    this.barLabel = make('span', 'overlay__scale-label', scale);
    this.bar = make('span', 'overlay__scale-bar', scale);
    this.readout = make('div', 'overlay__readout', this.layer);
    if (config.is_synthetic) this.markSynthetic();
    this.skeleton = make('div', 'overlay__skeleton', host);
    make('span', 'overlay__skeleton-text', this.skeleton).textContent = 'Loading the images…';
    this.notice = make('div', 'overlay__notice', host);
    this.notice.hidden = true;
    this.notice.setAttribute('role', 'alert');
    this.followPointer();
  }

  /** Speaks of another case from now on: its image stands in the viewport. */
  speakOf(config: CaseConfig): void {
    if (config === this.config) return;
    this.config = config;
    this.layer.querySelector('.overlay__synthetic')?.remove();
    if (config.is_synthetic) this.markSynthetic();
    this.update();
  }

  private markSynthetic(): void {
    make('strong', 'overlay__synthetic', this.layer).textContent = 'SYNTHETIC';
  }

  /** Writes more about the pixel under the pointer, after its value. */
  alsoRead(more: (column: number, row: number) => string): void {
    this.more = more;
  }

  private followPointer(): void {
    this.host.addEventListener('pointermove', (event) => {
      const box = this.host.getBoundingClientRect();
      const reading = this.view()?.readingAt(event.clientX - box.left, event.clientY - box.top);
      if (!reading) this.readout.textContent = '';
      else {
        const value = reading.value === null ? 'colour' : `${figure(reading.value)}${unitWord(this.config.units)}`;
        const more = this.more(reading.column, reading.row);
        this.readout.textContent = `${value}${more ? ` ${more}` : ''} · column ${reading.column}, row ${reading.row}`;
      }
    });
    this.host.addEventListener('pointerleave', () => {
      this.readout.textContent = '';
    });
  }

  /** Ends the skeleton: the first image is drawn, or has failed. */
  ready(): void {
    this.skeleton.hidden = true;
  }

  loading(text: string): void {
    const words = this.skeleton.querySelector('span');
    if (words) words.textContent = text;
  }

  /** Shows what went wrong inside the viewport, with a way to try again. */
  showError(message: string, retry?: () => void): void {
    this.notice.replaceChildren();
    make('p', '', this.notice).textContent = message;
    if (retry) {
      const button = make('button', 'button button--small', this.notice);
      button.type = 'button';
      button.textContent = 'Try again';
      button.addEventListener('click', retry);
    }
    this.notice.hidden = false;
    this.layer.classList.add('overlay--failed');
  }

  clearError(): void {
    this.notice.hidden = true;
    this.layer.classList.remove('overlay--failed');
  }

  /** Writes everything anew from the viewport's state. */
  update(): void {
    const view = this.view();
    if (!view || view.count === 0) return;
    this.writeCorners(view);
    this.writeLetters(view);
    this.writeScale(view);
  }

  private writeCorners(view: StackView): void {
    const { config } = this;
    const index = view.index % config.frames.length; // behind a stack may lie the one that blinks
    const frame = config.frames[index];
    const position = frame?.position_mm;
    const window = view.window;
    const slice = [`Slice ${index + 1}/${config.frames.length}`];
    if (typeof position === 'number') slice.push(`${position.toFixed(1).replace('-', '−')} mm`);
    this.write('top-left', [config.name, [config.modality, config.description].filter(Boolean).join(' · ')]);
    this.write('top-right', [slice.join(' · ')]);
    this.write('bottom-left', [
      window && !config.is_colour ? `W ${figure(Math.round(window.width))}  L ${figure(Math.round(window.center))}` : '',
      `Zoom ${figure(Math.round(view.scale * (config.spacing_mm?.[1] ?? 1) * 100))} %`,
    ]);
    this.write('bottom-right', [`${config.columns} × ${config.rows}`, spacingText(config)]);
  }

  private write(corner: Corner, lines: string[]): void {
    const shown = lines.filter(Boolean);
    const text = shown.join('\n');
    if (this.written[corner] === text) return;
    this.written[corner] = text;
    const element = this.corners[corner];
    element.replaceChildren();
    for (const line of shown) make('div', 'overlay__line', element).textContent = line;
    // The name may be cut short: the whole of it shows under the pointer.
    if (corner === 'top-left') element.title = text;
  }

  private writeLetters(view: StackView): void {
    const { viewUp, viewPlaneNormal } = view.viewport.getCamera();
    const known = this.config.frames.some((frame) => frame.position_mm !== null);
    if (!known || !viewUp || !viewPlaneNormal) return;
    const up = orientationLetters(viewUp as unknown as Vector);
    const right = orientationLetters(cross(viewUp as unknown as Vector, viewPlaneNormal as unknown as Vector));
    this.letters.top.textContent = up;
    this.letters.bottom.textContent = oppositeLetters(up);
    this.letters.right.textContent = right;
    this.letters.left.textContent = oppositeLetters(right);
  }

  private writeScale(view: StackView): void {
    const bar = this.config.spacing_mm ? scaleBar(view.scale, this.host.clientWidth / 4) : null;
    (this.bar.parentElement as HTMLElement).hidden = bar === null;
    if (!bar) return;
    this.bar.style.width = `${bar.pixels.toFixed(1)}px`;
    this.barLabel.textContent = bar.label;
  }
}
