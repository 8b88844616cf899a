export { type VolumeSpec, VolumeStore } from './store.ts';
export type * from './types.ts';
