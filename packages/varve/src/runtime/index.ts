export { ConmonRuntime, type ConmonRuntimeOptions } from './conmon-runtime.ts';
export type { RecoveredContainer } from './recovery.ts';
export { resolveCapabilities } from './spec/capabilities.ts';
export { parseSecurityOptions, type SecurityOptions } from './spec/security-options.ts';
export { resolveRootfsUser } from './spec/user.ts';
export type * from './types.ts';
