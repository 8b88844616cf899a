export { type VolumeProblem, type VolumeSpec, VolumeStore } from './store.ts';
export type * from './types.ts';
