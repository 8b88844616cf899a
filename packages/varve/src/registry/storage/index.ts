export type { RegistryStorage, StoredBlob, StoredUpload, WriteSession } from './types.ts';
