export { contentSchema } from './schema.ts';
export { type ContentStoreOptions, type FileContentStore, openContentStore } from './store.ts';
export type * from './types.ts';
export { onceOnly } from './types.ts';
