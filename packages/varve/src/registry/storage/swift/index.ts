import type { SwiftSettings } from '../../config/index.ts';
import { ObjectStorage, type ObjectStorageOptions } from '../objects/index.ts';
import { type SwiftBounds, SwiftStore } from './swift-store.ts';

/** The storage of a configuration's `storage.swift`. */
export function openSwiftStorage(
  settings: SwiftSettings,
  options: ObjectStorageOptions & Partial<SwiftBounds> = {},
): ObjectStorage {
  const { chunksize } = settings;
  return new ObjectStorage(new SwiftStore(settings, options), {
    ...options,
    chunks: { ...(chunksize === undefined ? {} : { largestBytes: chunksize }), ...options.chunks },
  });
}
