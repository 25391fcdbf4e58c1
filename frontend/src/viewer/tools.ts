/** The tools of a viewport: one at a time on the main button, the rest of the mouse as in any PACS. */
import {
  BrushTool,
  EllipticalROITool,
  Enums,
  LengthTool,
  PanTool,
  ProbeTool,
  StackScrollTool,
  ToolGroupManager,
  type Types as ToolTypes,
  WindowLevelTool,
  ZoomTool,
  addTool,
  annotation,
  utilities,
} from '@cornerstonejs/tools';
import { figure } from './geometry';

/** What the main button does. */
export type Primary = 'window' | 'zoom' | 'pan' | 'scroll' | 'length' | 'ellipse' | 'probe' | 'brush' | 'eraser';

const NAMES: Readonly<Record<Primary, string>> = {
  window: WindowLevelTool.toolName,
  zoom: ZoomTool.toolName,
  pan: PanTool.toolName,
  scroll: StackScrollTool.toolName,
  length: LengthTool.toolName,
  ellipse: EllipticalROITool.toolName,
  probe: ProbeTool.toolName,
  brush: 'MaskBrush',
  eraser: 'MaskEraser',
};

const { MouseBindings, KeyboardBindings } = Enums;

interface Statistics {
  area?: number;
  areaUnit?: string;
  mean?: number;
  stdDev?: number;
  min?: number;
  max?: number;
  modalityUnit?: string;
  isEmptyArea?: boolean;
}

/** The lines beside an ellipse: mean and SD first, then range and area. */
export function regionLines(statistics: Statistics): string[] {
  const { area, mean, stdDev, min, max } = statistics;
  if (typeof mean !== 'number' || !Number.isFinite(mean)) return [];
  const raw = statistics.modalityUnit ?? '';
  const unit = raw && raw !== 'raw' && raw !== 'unknown' ? ` ${raw}` : '';
  const lines = [`Mean ${mean.toFixed(1)}${unit}`];
  if (typeof stdDev === 'number') lines.push(`SD ${stdDev.toFixed(1)}${unit}`);
  if (typeof min === 'number' && typeof max === 'number') lines.push(`${figure(min)} to ${figure(max)}${unit}`);
  if (typeof area === 'number') lines.push(`Area ${figure(area)} ${statistics.areaUnit ?? ''}`.trim());
  return lines.map((line) => line.replace('-', '−'));
}

// Cornerstone's measuring tools bind Z and Y to undo and redo; here they are keys of the viewer.
const NO_KEYS = { actions: { undo: { bindings: [] }, redo: { bindings: [] } } };

let registered = false;

function register(): void {
  if (registered) return;
  registered = true;
  for (const tool of [
    WindowLevelTool, ZoomTool, PanTool, StackScrollTool, LengthTool, EllipticalROITool, ProbeTool, BrushTool,
  ]) {
    addTool(tool);
  }
  const style = annotation.config.style;
  const font = getComputedStyle(document.body).fontFamily || 'system-ui, sans-serif';
  style.setDefaultToolStyles({
    ...style.getDefaultToolStyles(),
    global: {
      ...(style.getDefaultToolStyles() as { global?: object }).global,
      color: 'rgb(255, 214, 102)',
      colorHighlighted: 'rgb(128, 222, 234)',
      colorSelected: 'rgb(128, 222, 234)',
      lineWidth: '1.5',
      textBoxColor: 'rgb(255, 214, 102)',
      textBoxColorHighlighted: 'rgb(128, 222, 234)',
      textBoxColorSelected: 'rgb(128, 222, 234)',
      textBoxFontFamily: font,
      textBoxFontSize: '13px',
      textBoxBackground: 'rgba(0, 0, 0, 0.65)',
    },
  });
}

export class ToolBelt {
  private readonly group: ToolTypes.IToolGroup;
  private chosen: Primary = 'scroll';

  constructor(
    readonly groupId: string,
    engineId: string,
    viewportIds: readonly string[],
    private readonly options: { masks: boolean; fixedWindow?: boolean },
  ) {
    register();
    const group = ToolGroupManager.createToolGroup(groupId);
    if (!group) throw new Error(`The tool group ${groupId} exists already.`);
    this.group = group;
    for (const name of [NAMES.window, NAMES.zoom, NAMES.pan, NAMES.scroll]) group.addTool(name);
    group.addTool(NAMES.length, NO_KEYS);
    group.addTool(NAMES.probe, NO_KEYS);
    group.addTool(NAMES.ellipse, {
      ...NO_KEYS,
      getTextLines: (data: { cachedStats: Record<string, Statistics> }, target: string) =>
        regionLines(data.cachedStats[target] ?? {}),
    });
    if (options.masks) {
      group.addToolInstance(NAMES.brush, BrushTool.toolName, { activeStrategy: 'FILL_INSIDE_CIRCLE', ...NO_KEYS });
      group.addToolInstance(NAMES.eraser, BrushTool.toolName, { activeStrategy: 'ERASE_INSIDE_CIRCLE', ...NO_KEYS });
    }
    viewportIds.forEach((id) => group.addViewport(id, engineId));
    for (const name of [NAMES.length, NAMES.ellipse, NAMES.probe]) group.setToolPassive(name);
    this.activate(options.fixedWindow ? 'pan' : 'window');
  }

  get primary(): Primary {
    return this.chosen;
  }

  /** Gives a tool the main button; wheel, right and middle button keep what they do. A fixed window stays. */
  activate(primary: Primary): void {
    if (primary === 'window' && this.options.fixedWindow) return;
    const bindings: Record<string, ToolTypes.IToolBinding[]> = {
      [NAMES.scroll]: [{ mouseButton: MouseBindings.Wheel }],
      [NAMES.zoom]: [
        { mouseButton: MouseBindings.Secondary },
        { mouseButton: MouseBindings.Wheel, modifierKey: KeyboardBindings.Ctrl },
        { numTouchPoints: 2 },
      ],
      [NAMES.pan]: [
        { mouseButton: MouseBindings.Auxiliary },
        { mouseButton: MouseBindings.Primary, modifierKey: KeyboardBindings.Shift },
      ],
      [NAMES.window]: [{ mouseButton: MouseBindings.Primary, modifierKey: KeyboardBindings.Ctrl }],
    };
    if (this.options.fixedWindow) delete bindings[NAMES.window];
    const previous = NAMES[this.chosen];
    if (!(previous in bindings)) this.group.setToolPassive(previous, { removeAllBindings: true });
    const main = NAMES[primary];
    bindings[main] = [{ mouseButton: MouseBindings.Primary }, ...(bindings[main] ?? [])];
    for (const [name, list] of Object.entries(bindings)) {
      this.group.setToolPassive(name, { removeAllBindings: true });
      this.group.setToolActive(name, { bindings: list });
    }
    this.chosen = primary;
  }

  /** Radius of brush and eraser in millimetres. */
  setBrushRadius(mm: number): void {
    for (const name of [NAMES.brush, NAMES.eraser]) {
      utilities.segmentation.setBrushSizeForToolGroup(this.groupId, mm, name);
    }
  }
}

/** Removes the selected measurements of a viewport, or all of them. */
export function removeMeasurements(which: 'selected' | 'all'): number {
  const uids =
    which === 'selected'
      ? annotation.selection.getAnnotationsSelected()
      : annotation.state.getAllAnnotations().flatMap((one) => (one.annotationUID ? [one.annotationUID] : []));
  uids.forEach((uid) => annotation.state.removeAnnotation(uid));
  return uids.length;
}
