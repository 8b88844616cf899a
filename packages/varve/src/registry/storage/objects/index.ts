export { type Group, groupSources } from './assemble.ts';
export { ObjectStorage, type ObjectStorageOptions } from './object-storage.ts';
export { assembleByParts, type FinishedPart, type PartsApi, type PartUpload } from './parts.ts';
export { type RetryPolicy, storeError, withRetry } from './retry.ts';
export type { ObjectStore, PresignOptions, StoredObject } from './types.ts';
