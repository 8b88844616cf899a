import type { RegistryConfig } from '../config/index.ts';
import { FilesystemStorage } from './filesystem/index.ts';
import type { ObjectStorageOptions } from './objects/index.ts';
import type { RegistryStorage } from './types.ts';

/**
 * The storage that a configuration's block `storage` names. A backend's client is loaded only when it is the one: they
 * take 30 to 40 MB and a tenth of a second each.
 * @param root folder for local files
 * @param options for a store of objects; what is good for most when absent
 */
export async function openStorage(
  config: RegistryConfig['storage'],
  root: string,
  options: ObjectStorageOptions = {},
): Promise<RegistryStorage> {
  if (config.s3) return (await import('./s3/index.ts')).openS3Storage(config.s3, options);
  if (config.azure) return (await import('./azure/index.ts')).openAzureStorage(config.azure, options);
  if (config.swift) return (await import('./swift/index.ts')).openSwiftStorage(config.swift, options);
  if (config.gcs) return (await import('./gcs/index.ts')).openGcsStorage(config.gcs, options);
  if (config.oss) return (await import('./oss/index.ts')).openOssStorage(config.oss, options);
  if (config.module !== undefined) {
    return await (await import('./module/index.ts')).openModuleStorage(config.module, config.options);
  }
  return await FilesystemStorage.open(root);
}
