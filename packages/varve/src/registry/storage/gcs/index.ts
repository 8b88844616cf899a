import type { GcsSettings } from '../../config/index.ts';
import { ObjectStorage, type ObjectStorageOptions } from '../objects/index.ts';
import { GcsStore } from './gcs-store.ts';

/** The storage of a configuration's `storage.gcs`. */
export function openGcsStorage(settings: GcsSettings, options: ObjectStorageOptions = {}): ObjectStorage {
  const { chunksize } = settings;
  return new ObjectStorage(new GcsStore(settings, options.pageKeys), {
    ...options,
    chunks: { ...(chunksize === undefined ? {} : { largestBytes: chunksize }), ...options.chunks },
  });
}
