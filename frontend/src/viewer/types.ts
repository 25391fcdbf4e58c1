/** What the server tells a viewer in its `json_script` (made by webapp/cases/viewer.py). */
import type { DifferenceConfig } from './difference';
import type { HeatConfig } from './heat';
import type { Window } from './presets';
import type { Label, Shape } from './maskcodec';

/** One image of a stack: the frame of an instance, and where it lies along the stack's normal. */
export interface FrameRef {
  sop: string;
  /** From 1. */
  frame: number;
  position_mm: number | null;
}

export interface CaseConfig {
  id: string;
  name: string;
  modality: string;
  units: string;
  description: string;
  is_synthetic: boolean;
  /** Colours are shown as they are, without a window. */
  is_colour: boolean;
  rows: number;
  columns: number;
  /** Between rows, between columns, between slices; null where unknown. */
  spacing_mm: [number, number, number | null] | null;
  window: Window | null;
  /** Address of the DICOMweb series, without a slash at the end. */
  series_url: string;
  frames: FrameRef[];
}

export interface MaskRef {
  id: string;
  name: string;
  version: number;
  origin: string;
  labels: Label[];
  shape: Shape;
  url: string;
}

/** The case page. */
export interface CaseViewerConfig {
  case: CaseConfig;
  masks: MaskRef[];
  masks_url: string;
  may_annotate: boolean;
  palette: Label[];
  /** The label that a new mask's brush begins with. */
  paint_first: number;
  /** From 0. */
  slice: number;
  mask: string | null;
}

/** One viewport of the result page. */
export interface PaneConfig {
  title: string;
  case: CaseConfig;
  /** From 0. */
  slice: number;
  mask: MaskRef | null;
  show_mask?: boolean;
  /** A map of values over the image, in the image's own unit. */
  heat?: HeatConfig | null;
  /** How far the image is from another, drawn over it. */
  difference?: DifferenceConfig | null;
  /** Another stack of the same grid that takes this one's place while somebody blinks. */
  blink?: { title: string; case: CaseConfig } | null;
}

export interface ResultViewerConfig {
  panes: PaneConfig[];
  /** What is to be said of each slice, where the panes are stacks of the same slices. */
  slice_notes?: string[];
}
