import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import {
  BlobSASPermissions,
  BlobServiceClient,
  type ContainerClient,
  StorageSharedKeyCredential,
} from '@azure/storage-blob';
import { isKind, mapLimit, VarveError } from '../../../base/index.ts';
import type { ByteRange } from '../../../content/index.ts';
import type { AzureSettings } from '../../config/index.ts';
import {
  type ObjectStore,
  type PresignOptions,
  type StoredObject,
  storeError,
  withRetry,
} from '../objects/index.ts';

// https://learn.microsoft.com/rest/api/storageservices/put-block-from-url
const maxBlocks = 50_000;
const maxBlockBytes = 4000 * 1024 * 1024;
// How long the store may take to fetch a block from itself.
const sourceMinutes = 60;
// Clocks differ: an address that begins now would be refused by a store that is behind.
const clockSkewMinutes = 5;

/** Azure Blob Storage, by the account's key. */
export class AzureStore implements ObjectStore {
  readonly name = 'azure';
  readonly maxSources = maxBlocks;
  readonly maxSourceBytes = maxBlockBytes;
  readonly #container: ContainerClient;
  readonly #prefix: string;
  readonly #pageKeys: number;

  /** @param pageKeys keys that one page of a listing has */
  constructor(settings: AzureSettings, pageKeys = 1000) {
    const { accountname, accountkey, realm, serviceurl } = settings;
    const url = serviceurl ?? `https://${accountname}.blob.${realm}`;
    const credential = new StorageSharedKeyCredential(accountname, accountkey);
    // Retries are ObjectStorage's.
    const service = new BlobServiceClient(url, credential, { retryOptions: { maxTries: 1 } });
    this.#container = service.getContainerClient(settings.container);
    const root = settings.rootdirectory.replace(/^\/+|\/+$/g, '');
    this.#prefix = root === '' ? '' : `${root}/`;
    this.#pageKeys = pageKeys;
  }

  async stat(key: string): Promise<StoredObject | undefined> {
    try {
      return await this.#call(`stat ${key}`, async () => {
        const found = await this.#blob(key).getProperties();
        return {
          key,
          size: found.contentLength ?? 0,
          modifiedAt: found.lastModified?.getTime() ?? 0,
          etag: found.etag,
        };
      });
    } catch (error) {
      if (isKind(error, 'not-found')) return undefined;
      throw error;
    }
  }

  async read(key: string, { start = 0, end }: ByteRange = {}): Promise<Readable> {
    return await this.#call(`read ${key}`, async () => {
      const count = end === undefined ? undefined : end - start;
      const { readableStreamBody } = await this.#blob(key).download(start, count, { maxRetryRequests: 3 });
      if (!readableStreamBody) throw new Error('the answer has no body');
      return readableStreamBody as Readable;
    });
  }

  async put(key: string, bytes: Uint8Array): Promise<{ readonly etag?: string | undefined }> {
    return await this.#call(`put ${key}`, async () => {
      const { etag } = await this.#blob(key).upload(bytes, bytes.length);
      return { etag };
    });
  }

  async assemble(sources: readonly StoredObject[], target: string): Promise<void> {
    const blob = this.#blob(target);
    // Of this attempt alone: another one may be at work on the same blob. All of one length, as the protocol wants.
    const attempt = randomUUID().slice(0, 13);
    const blocks = await mapLimit(sources, 4, async (source, index) => {
      const block = Buffer.from(`${attempt}-${String(index).padStart(6, '0')}`).toString('base64');
      await withRetry(() =>
        this.#call(`copy ${source.key}`, async () => {
          const url = await this.#signed(source.key, sourceMinutes * 60);
          const conditions = source.etag === undefined ? {} : { sourceConditions: { ifMatch: source.etag } };
          await blob.stageBlockFromURL(block, url, 0, source.size, conditions as object);
        }),
      );
      return block;
    });
    try {
      await withRetry(() => this.#call(`commit ${target}`, () => blob.commitBlockList(blocks)));
    } catch (error) {
      // A commit drops the blocks that another attempt has staged. It then has made the blob.
      const size = sources.reduce((sum, source) => sum + source.size, 0);
      if (isKind(error, 'unavailable') || (await this.stat(target))?.size !== size) throw error;
    }
  }

  async remove(keys: readonly string[]): Promise<void> {
    await mapLimit(keys, 8, (key) =>
      withRetry(() => this.#call(`remove ${key}`, () => this.#blob(key).deleteIfExists())),
    );
  }

  async *list(prefix: string): AsyncIterable<StoredObject> {
    const options = { prefix: this.#prefix + prefix };
    for (let token: string | undefined; ; ) {
      const page = await withRetry(() =>
        this.#call(`list ${prefix}`, async () => {
          const pages = this.#container.listBlobsFlat(options).byPage({
            maxPageSize: this.#pageKeys,
            ...(token === undefined ? {} : { continuationToken: token }),
          });
          const { value } = (await pages.next()) as {
            value?: Awaited<ReturnType<typeof pages.next>>['value'];
          };
          return value;
        }),
      );
      for (const { name, properties } of page?.segment.blobItems ?? []) {
        if (!name.startsWith(this.#prefix)) continue;
        yield {
          key: name.slice(this.#prefix.length),
          size: properties.contentLength ?? 0,
          modifiedAt: properties.lastModified.getTime(),
          // Listings give it without the quotes that conditions need.
          etag: properties.etag === '' ? undefined : `"${properties.etag.replaceAll('"', '')}"`,
        };
      }
      token = page?.continuationToken;
      if (token === undefined || token === '') return;
    }
  }

  async presign(key: string, { expiresIn }: PresignOptions): Promise<URL> {
    return new URL(await this.#signed(key, expiresIn));
  }

  #blob(key: string): ReturnType<ContainerClient['getBlockBlobClient']> {
    return this.#container.getBlockBlobClient(this.#prefix + key);
  }

  async #signed(key: string, seconds: number): Promise<string> {
    const now = Date.now();
    return await this.#blob(key).generateSasUrl({
      permissions: BlobSASPermissions.parse('r'),
      startsOn: new Date(now - clockSkewMinutes * 60_000),
      expiresOn: new Date(now + seconds * 1000),
    });
  }

  async #call<T>(action: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      if (VarveError.is(cause)) throw cause;
      const { statusCode, code } = cause as { statusCode?: number; code?: string };
      throw storeError({ store: this.name, action, status: statusCode, code, cause });
    }
  }
}
