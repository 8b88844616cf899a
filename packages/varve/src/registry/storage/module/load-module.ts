import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { VarveError } from '../../../base/index.ts';
import { ObjectStorage, type ObjectStorageOptions, type ObjectStore } from '../objects/index.ts';
import type { RegistryStorage } from '../types.ts';

/** What a module is handed, so that it need not find this package: it may be anywhere. */
export interface StorageKit {
  /** A whole storage over a store of objects: uploads, retries and bounded memory are taken care of. */
  objectStorage(store: ObjectStore, options?: ObjectStorageOptions): RegistryStorage;
  /** To throw when an object is not there. */
  notFound(message: string): Error;
  /** To throw when the store is away or overloaded: the action is tried again. */
  unavailable(message: string, cause?: unknown): Error;
}

/**
 * What a module exports. It returns an {@link ObjectStore}, which most will want, made a storage by
 * `kit.objectStorage`, or a {@link RegistryStorage} of its own making.
 */
export type OpenStorage = (
  options: Readonly<Record<string, unknown>>,
  kit: StorageKit,
) => RegistryStorage | Promise<RegistryStorage>;

export const storageKit: StorageKit = {
  objectStorage: (store, options) => {
    requireMethods(store, storeMethods, 'the object store');
    return new ObjectStorage(store, options);
  },
  notFound: (message) => new VarveError('not-found', 'STORE_NOT_FOUND', message),
  unavailable: (message, cause) => new VarveError('unavailable', 'STORE_UNAVAILABLE', message, { cause }),
};

const storeMethods = ['stat', 'read', 'put', 'assemble', 'remove', 'list'];
const storageMethods = ['stat', 'read', 'create', 'resume', 'uploads', 'abandon', 'delete', 'list', 'close'];

/**
 * Opens the storage of a module: `storage.module` of the configuration.
 * @param path of the module; a relative one is relative to the working folder
 * @throws VarveError `invalid` (`STORAGE_MODULE_INVALID`) when it cannot be loaded or is no storage
 */
export async function openModuleStorage(
  path: string,
  options: Readonly<Record<string, unknown>> = {},
): Promise<RegistryStorage> {
  const file = resolve(path);
  let loaded: { readonly openStorage?: unknown };
  try {
    loaded = (await import(pathToFileURL(file).href)) as { readonly openStorage?: unknown };
  } catch (cause) {
    throw invalid(file, `cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
  const { openStorage } = loaded;
  if (typeof openStorage !== 'function') throw invalid(file, 'exports no function openStorage');
  const storage = await (openStorage as OpenStorage)(options, storageKit);
  requireMethods(storage, storageMethods, `what openStorage of "${file}" returned`);
  if (typeof storage.name !== 'string' || typeof storage.shared !== 'boolean') {
    throw invalid(file, 'its storage has no name, or does not say whether it is shared');
  }
  return storage;
}

function requireMethods(value: unknown, names: readonly string[], what: string): void {
  const methods = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  const absent = names.filter((name) => typeof methods[name] !== 'function');
  if (absent.length === 0) return;
  throw new VarveError('invalid', 'STORAGE_MODULE_INVALID', `${what} lacks ${absent.join(', ')}`, {
    hint: 'docs/guides/registry-storage.md has what a module must do',
  });
}

function invalid(file: string, reason: string, cause?: unknown): VarveError {
  return new VarveError('invalid', 'STORAGE_MODULE_INVALID', `storage.module "${file}": ${reason}`, {
    subject: file,
    cause,
    hint: 'docs/guides/registry-storage.md has what a module must do',
  });
}
