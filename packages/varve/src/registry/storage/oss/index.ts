import type { OssSettings } from '../../config/index.ts';
import { ObjectStorage, type ObjectStorageOptions } from '../objects/index.ts';
import { OssStore } from './oss-store.ts';

/** The storage of a configuration's `storage.oss`. */
export function openOssStorage(settings: OssSettings, options: ObjectStorageOptions = {}): ObjectStorage {
  const { chunksize } = settings;
  return new ObjectStorage(new OssStore(settings, options.pageKeys), {
    ...options,
    chunks: { ...(chunksize === undefined ? {} : { largestBytes: chunksize }), ...options.chunks },
  });
}
