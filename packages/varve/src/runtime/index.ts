export type * from './types.ts';
export { ConmonRuntime, type ConmonRuntimeOptions } from './conmon-runtime.ts';
