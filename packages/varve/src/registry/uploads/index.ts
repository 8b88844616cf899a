export { parseContentRange, type UploadBody } from './body.ts';
export type { DigestAlgorithm } from './running-hash.ts';
export { Uploads } from './uploads.ts';
