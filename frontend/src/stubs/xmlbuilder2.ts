/** Stands in for xmlbuilder2, which vtk.js imports for XML files that the viewer never reads. */
function unavailable(): never {
  throw new Error('XML files are not read by this viewer.');
}

export const create = unavailable;
export const convert = unavailable;
export const fragment = unavailable;
export const builder = unavailable;
export const builderCB = unavailable;
export const fragmentCB = unavailable;
