/** A map of values over one image, drawn in one hue. */
import { figure } from './geometry';
import { type Rgba, heatColour, heatTicks } from './heatscale';
import { type MapConfig, MapLayer, mapLegend } from './maplayer';
import type { StackView } from './stack';

/** What the server tells of a map (webapp/jobs/uncertainty.py); stored value times `scale` is in `unit`. */
export interface HeatConfig extends MapConfig {
  scale: number;
  unit: string;
  /** The value from which on the colour stays the same. */
  top: number;
}

const LEGEND_WIDTH = 128;
const FIRST_OPACITY = 85; // percent

/** One such map on one viewport. */
export class HeatLayer extends MapLayer<HeatConfig> {
  constructor(view: StackView, host: HTMLElement, config: HeatConfig) {
    super(view, host, config, 'heat');
    this.setOpacity(FIRST_OPACITY / 100);
  }

  protected override typed(stored: Uint16Array): Uint16Array {
    return stored;
  }

  protected override colour(value: number): Rgba {
    return heatColour((value * this.config.scale) / this.config.top);
  }

  protected override words(value: number): string {
    const unit = this.config.unit === 'signal' ? '' : ` ${this.config.unit}`;
    return `± ${figure(Math.round(value * this.config.scale))}${unit}`;
  }
}

/** The legend with its opacity slider; `onOpacity` gets 0..1. */
export function heatLegend(config: HeatConfig, onOpacity: (opacity: number) => void): HTMLElement {
  return mapLegend(
    {
      kind: 'heat',
      className: 'heat-legend',
      width: LEGEND_WIDTH,
      colour: (index) => heatColour(index / (LEGEND_WIDTH - 1)),
      ticks: heatTicks(config),
      opacity: FIRST_OPACITY,
    },
    onOpacity,
  );
}
