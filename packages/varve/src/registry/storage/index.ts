export { type OpenStorage, type StorageKit, storageKit } from './module/index.ts';
export {
  ObjectStorage,
  type ObjectStorageOptions,
  type ObjectStore,
  type PresignOptions,
  type StoredObject,
} from './objects/index.ts';
export { openStorage } from './open-storage.ts';
export type {
  AppendOptions,
  OpenBlob,
  RegistryStorage,
  StoredBlob,
  StoredUpload,
  WriteSession,
} from './types.ts';
