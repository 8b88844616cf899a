import type { S3Settings } from '../../config/index.ts';
import { ObjectStorage, type ObjectStorageOptions } from '../objects/index.ts';
import { S3Store } from './s3-store.ts';

/** The storage of a configuration's `storage.s3`. */
export function openS3Storage(settings: S3Settings, options: ObjectStorageOptions = {}): ObjectStorage {
  const { chunksize } = settings;
  return new ObjectStorage(new S3Store(settings, options.pageKeys), {
    ...options,
    chunks: { ...(chunksize === undefined ? {} : { largestBytes: chunksize }), ...options.chunks },
  });
}
