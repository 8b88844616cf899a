export { type ImageStoreOptions, LocalImageStore } from './store.ts';
export type * from './types.ts';
