export { openStorage } from './open-storage.ts';
export type { RegistryStorage, StoredBlob, StoredUpload, WriteSession } from './types.ts';
