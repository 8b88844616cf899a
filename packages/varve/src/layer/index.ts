export { type ApplyOptions, applyLayer } from './apply-layer.ts';
export { defaultLimits, type LayerLimits } from './limits.ts';
export type * from './types.ts';
export { changes, type WriteOptions, writeLayer } from './write-layer.ts';
