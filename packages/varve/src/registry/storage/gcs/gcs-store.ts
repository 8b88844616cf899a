import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { type Bucket, Storage } from '@google-cloud/storage';
import { JWT, type JWTInput } from 'google-auth-library';
import { isKind, mapLimit, VarveError } from '../../../base/index.ts';
import type { ByteRange } from '../../../content/index.ts';
import type { GcsSettings } from '../../config/index.ts';
import {
  type ObjectStore,
  type PresignOptions,
  type StoredObject,
  storeError,
  withRetry,
} from '../objects/index.ts';

/** Google Cloud Storage. What an upload sends are objects that can be read again, which a resumable session's bytes cannot. */
export class GcsStore implements ObjectStore {
  readonly name = 'gcs';
  // https://cloud.google.com/storage/docs/composite-objects
  readonly maxSources = 32;
  readonly maxSourceBytes = 5 * 1024 ** 4;
  readonly #bucket: Bucket;
  readonly #prefix: string;
  readonly #pageKeys: number;

  /** @param pageKeys keys that one page of a listing has */
  constructor(settings: GcsSettings, pageKeys = 1000) {
    this.#bucket = openClient(settings).bucket(settings.bucket);
    const root = settings.rootdirectory.replace(/^\/+|\/+$/g, '');
    this.#prefix = root === '' ? '' : `${root}/`;
    this.#pageKeys = pageKeys;
  }

  async stat(key: string): Promise<StoredObject | undefined> {
    try {
      const data = await this.#request(`stat ${key}`, { method: 'GET', path: this.#path(key) });
      return describe(key, data as Metadata);
    } catch (error) {
      if (isKind(error, 'not-found')) return undefined;
      throw error;
    }
  }

  async read(key: string, range?: ByteRange): Promise<Readable> {
    const data = await this.#request(`read ${key}`, {
      method: 'GET',
      path: `${this.#path(key)}?alt=media`,
      responseType: 'stream',
      headers: range
        ? { Range: `bytes=${range.start ?? 0}-${range.end === undefined ? '' : range.end - 1}` }
        : {},
    });
    return data as Readable;
  }

  async put(key: string, bytes: Uint8Array): Promise<{ readonly etag?: string | undefined }> {
    const data = await this.#request(`put ${key}`, {
      method: 'POST',
      path: `/upload/storage/v1/b/${this.#bucket.name}/o?uploadType=media&name=${encodeURIComponent(this.#prefix + key)}`,
      headers: { 'Content-Type': 'application/octet-stream' },
      body: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    });
    const metadata = data as Metadata;
    if (metadata.md5Hash !== createHash('md5').update(bytes).digest('base64')) {
      throw new VarveError(
        'unavailable',
        'STORE_DAMAGED',
        `gcs: put ${key}: other bytes arrived than were sent`,
      );
    }
    return { etag: generationOf(metadata) };
  }

  async assemble(sources: readonly StoredObject[], target: string): Promise<void> {
    await this.#request(`compose ${target}`, {
      method: 'POST',
      path: `${this.#path(target)}/compose`,
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        sourceObjects: sources.map(({ key, etag }) => ({
          name: this.#prefix + key,
          ...(etag === undefined ? {} : { generation: etag }),
        })),
        destination: { contentType: 'application/octet-stream' },
      }),
    });
  }

  async remove(keys: readonly string[]): Promise<void> {
    await mapLimit(keys, 8, (key) =>
      withRetry(async () => {
        try {
          await this.#request(`remove ${key}`, { method: 'DELETE', path: this.#path(key) });
        } catch (error) {
          if (!isKind(error, 'not-found')) throw error;
        }
      }),
    );
  }

  async *list(prefix: string): AsyncIterable<StoredObject> {
    for (let token: string | undefined; ; ) {
      const query = new URLSearchParams({
        prefix: this.#prefix + prefix,
        maxResults: String(this.#pageKeys),
        fields: 'items(name,size,updated,generation),nextPageToken',
        ...(token === undefined ? {} : { pageToken: token }),
      });
      const data = (await withRetry(() =>
        this.#request(`list ${prefix}`, {
          method: 'GET',
          path: `/storage/v1/b/${this.#bucket.name}/o?${query.toString()}`,
        }),
      )) as Listing;
      for (const item of data.items ?? []) {
        if (item.name.startsWith(this.#prefix)) yield describe(item.name.slice(this.#prefix.length), item);
      }
      token = data.nextPageToken;
      if (token === undefined) return;
    }
  }

  async presign(key: string, { expiresIn, method }: PresignOptions): Promise<URL> {
    try {
      const [url] = await this.#bucket.file(this.#prefix + key).getSignedUrl({
        version: 'v4',
        action: 'read',
        expires: Date.now() + expiresIn * 1000,
        ...(method === 'HEAD' ? { method } : {}),
      });
      return new URL(url);
    } catch (cause) {
      throw storeError({ store: this.name, action: `sign ${key}`, cause });
    }
  }

  #path(key: string): string {
    return `/storage/v1/b/${this.#bucket.name}/o/${encodeURIComponent(this.#prefix + key)}`;
  }

  /** One call of the JSON API, by the SDK's authenticated client: its own methods hide the status of a stream. */
  async #request(action: string, { path, ...options }: ApiCall): Promise<unknown> {
    const { storage } = this.#bucket;
    try {
      const { data } = await storage.authClient.request<unknown>({
        ...options,
        url: `${storage.apiEndpoint}${path}`,
        retry: false,
        retryConfig: { retry: 0, noResponseRetries: 0 },
      });
      return data;
    } catch (cause) {
      const { status, code } = cause as { readonly status?: number; readonly code?: string | number };
      throw storeError({
        store: this.name,
        action,
        status,
        code: code === undefined ? undefined : String(code),
        cause,
      });
    }
  }
}

interface ApiCall {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer | string;
  readonly responseType?: 'stream';
}

interface Listing {
  readonly items?: readonly (Metadata & { readonly name: string })[];
  readonly nextPageToken?: string;
}

interface Metadata {
  readonly size?: string | number | undefined;
  readonly updated?: string | undefined;
  readonly generation?: string | number | undefined;
  readonly md5Hash?: string | undefined;
}

function describe(key: string, metadata: Metadata): StoredObject {
  return {
    key,
    size: Number(metadata.size ?? 0),
    modifiedAt: Date.parse(metadata.updated ?? '') || 0,
    etag: generationOf(metadata),
  };
}

/** Every write of an object is a generation of its own. */
function generationOf({ generation }: Metadata): string | undefined {
  return generation === undefined ? undefined : String(generation);
}

function openClient({ keyfile, apiendpoint }: GcsSettings): Storage {
  const endpoint =
    apiendpoint === undefined ? {} : { apiEndpoint: apiendpoint, useAuthWithCustomEndpoint: true };
  if (keyfile === undefined) return new Storage(endpoint);
  const key = readKey(keyfile);
  const authClient = new JWT({ scopes: ['https://www.googleapis.com/auth/devstorage.read_write'] });
  authClient.fromJSON(key);
  const storage = new Storage({ ...endpoint, authClient });
  // Without it the SDK asks a metadata server of Google's who signs addresses.
  storage.authClient.jsonContent = key;
  return storage;
}

/** Of a service account only: other kinds of key files make the SDK call addresses that the file names. */
function readKey(keyfile: string): JWTInput {
  const invalid = (reason: string, cause?: unknown): VarveError =>
    new VarveError('invalid', 'STORE_MISCONFIGURED', `storage.gcs.keyfile "${keyfile}": ${reason}`, {
      cause,
    });
  let key: JWTInput;
  try {
    key = JSON.parse(readFileSync(keyfile, 'utf8')) as JWTInput;
  } catch (cause) {
    throw invalid('cannot be read', cause);
  }
  if (key.type !== 'service_account') throw invalid('not the key of a service account');
  return key;
}
