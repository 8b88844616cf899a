import type { AzureSettings } from '../../config/index.ts';
import { ObjectStorage, type ObjectStorageOptions } from '../objects/index.ts';
import { AzureStore } from './azure-store.ts';

/** The storage of a configuration's `storage.azure`. */
export function openAzureStorage(settings: AzureSettings, options: ObjectStorageOptions = {}): ObjectStorage {
  const { chunksize } = settings;
  return new ObjectStorage(new AzureStore(settings, options.pageKeys), {
    ...options,
    chunks: { ...(chunksize === undefined ? {} : { largestBytes: chunksize }), ...options.chunks },
  });
}
