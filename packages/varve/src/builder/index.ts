export { unpackContext } from './archives.ts';
export { Builder } from './builder.ts';
export { applyMetadata, type MetadataChange, type MetadataState, nopText } from './metadata.ts';
export { legacyProgress } from './progress.ts';
export { builderSchema } from './schema.ts';
export type { CachedStep } from './step-cache.ts';
export type * from './types.ts';
