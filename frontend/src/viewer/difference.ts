/** The signed difference of an image from another, drawn over it. */
import { differenceColour, differenceTicks, signed } from './differencescale';
import type { Rgba } from './heatscale';
import { type MapConfig, MapLayer, mapLegend } from './maplayer';
import type { StackView } from './stack';

/** What the server tells of a difference (webapp/jobs/edit_panes.py); values are int16 in `unit`. */
export interface DifferenceConfig extends MapConfig {
  unit: string;
  /** The size from which on the colour stays the same. */
  top: number;
}

const LEGEND_WIDTH = 129;

/** One difference on one viewport. */
export class DifferenceLayer extends MapLayer<DifferenceConfig> {
  constructor(view: StackView, host: HTMLElement, config: DifferenceConfig) {
    super(view, host, config, 'difference');
  }

  protected override typed(stored: Uint16Array): Int16Array {
    return new Int16Array(stored.buffer, stored.byteOffset, stored.length);
  }

  protected override colour(value: number): Rgba {
    return differenceColour(value / this.config.top);
  }

  protected override words(value: number): string {
    return `(${signed(value, this.config.unit)})`;
  }
}

/** The legend with its opacity slider; `onOpacity` gets 0..1. */
export function differenceLegend(config: DifferenceConfig, onOpacity: (opacity: number) => void): HTMLElement {
  return mapLegend(
    {
      kind: 'difference',
      className: 'heat-legend heat-legend--difference',
      width: LEGEND_WIDTH,
      colour: (index) => differenceColour((2 * index) / (LEGEND_WIDTH - 1) - 1),
      ticks: differenceTicks(config),
      opacity: 100,
    },
    onOpacity,
  );
}
