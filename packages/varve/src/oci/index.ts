export * from './digest.ts';
export { mediaTypes } from './media-types.ts';
export type * from './types.ts';
