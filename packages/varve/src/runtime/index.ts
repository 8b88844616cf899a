export { ConmonRuntime, type ConmonRuntimeOptions } from './conmon-runtime.ts';
export type { RecoveredContainer } from './recovery.ts';
export { checkRequest } from './spec/check-request.ts';
export { defaultMaskedPaths, defaultReadonlyPaths } from './spec/paths.ts';
export { resolveRootfsUser } from './spec/user.ts';
export type * from './types.ts';
