export { Builder } from './builder.ts';
export { applyMetadata } from './metadata.ts';
export { legacyProgress } from './progress.ts';
export type { CachedStep } from './step-cache.ts';
export type * from './types.ts';
