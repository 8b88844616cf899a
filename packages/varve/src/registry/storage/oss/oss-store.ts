import { Readable } from 'node:stream';
import { isKind, VarveError } from '../../../base/index.ts';
import type { ByteRange } from '../../../content/index.ts';
import type { OssSettings } from '../../config/index.ts';
import {
  assembleByParts,
  type FinishedPart,
  type ObjectStore,
  type PartsApi,
  type PartUpload,
  type PresignOptions,
  type StoredObject,
  storeError,
  withRetry,
} from '../objects/index.ts';
import { type OssClient, openOssClient } from './client.ts';

const gibibyte = 1024 ** 3;

/** Alibaba Cloud OSS: https://www.alibabacloud.com/help/en/oss/developer-reference/list-of-operations-by-function */
export class OssStore implements ObjectStore, PartsApi {
  readonly name = 'oss';
  readonly maxSources = 10_000;
  readonly maxSourceBytes = 4 * gibibyte;
  readonly minPartBytes = 100 * 1024;
  readonly maxCopyBytes = gibibyte;
  readonly #client: OssClient;
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #pageKeys: number;
  readonly #written: Readonly<Record<string, string>>;

  /** @param pageKeys keys that one page of a listing has */
  constructor(settings: OssSettings, pageKeys = 1000) {
    const { accesskeyid, accesskeysecret, region, bucket, secure, internal, endpoint } = settings;
    this.#client = openOssClient({
      accessKeyId: accesskeyid,
      accessKeySecret: accesskeysecret,
      region,
      bucket,
      secure,
      internal,
      ...(endpoint === undefined ? {} : { endpoint }),
      authorizationV4: true,
      // Retries are ObjectStorage's.
      timeout: 60_000,
      retryMax: 0,
    });
    this.#bucket = bucket;
    const root = settings.rootdirectory.replace(/^\/+|\/+$/g, '');
    this.#prefix = root === '' ? '' : `${root}/`;
    this.#pageKeys = pageKeys;
    const { encrypt, encryptionkeyid } = settings;
    this.#written = {
      ...(encrypt
        ? { 'x-oss-server-side-encryption': encryptionkeyid === undefined ? 'AES256' : 'KMS' }
        : {}),
      ...(encrypt && encryptionkeyid !== undefined
        ? { 'x-oss-server-side-encryption-key-id': encryptionkeyid }
        : {}),
    };
  }

  async stat(key: string): Promise<StoredObject | undefined> {
    return await this.#absent(
      this.#call(`stat ${key}`, async () => {
        const { headers } = (await this.#client.head(this.#prefix + key)).res;
        return {
          key,
          size: Number(headers['content-length']),
          modifiedAt: Date.parse(headers['last-modified'] ?? ''),
          etag: headers['etag'],
        };
      }),
    );
  }

  async read(key: string, range?: ByteRange): Promise<Readable> {
    return await this.#call(`read ${key}`, async () => {
      const headers: Record<string, string> = range
        ? { Range: `bytes=${range.start ?? 0}-${range.end === undefined ? '' : range.end - 1}` }
        : {};
      return (await this.#client.getStream(this.#prefix + key, { headers })).stream;
    });
  }

  async put(key: string, bytes: Uint8Array): Promise<{ readonly etag?: string | undefined }> {
    return await this.#call(`put ${key}`, async () => {
      const { res } = await this.#client.put(this.#prefix + key, bufferOf(bytes), { headers: this.#written });
      return { etag: res.headers['etag'] };
    });
  }

  async assemble(sources: readonly StoredObject[], target: string): Promise<void> {
    await assembleByParts(this, this, sources, target);
  }

  async remove(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    const names = keys.map((key) => this.#prefix + key);
    await this.#call(`remove ${keys[0]}`, () => this.#client.deleteMulti(names, { quiet: true }));
  }

  async *list(prefix: string): AsyncIterable<StoredObject> {
    for (let token: string | undefined; ; ) {
      const page = await withRetry(() =>
        this.#call(`list ${prefix}`, () =>
          this.#client.listV2({
            prefix: this.#prefix + prefix,
            'max-keys': this.#pageKeys,
            ...(token === undefined ? {} : { 'continuation-token': token }),
          }),
        ),
      );
      for (const { name, size, lastModified, etag } of page.objects ?? []) {
        if (!name.startsWith(this.#prefix)) continue;
        yield {
          key: name.slice(this.#prefix.length),
          size: Number(size),
          modifiedAt: Date.parse(lastModified),
          etag,
        };
      }
      token = page.nextContinuationToken;
      if (!page.isTruncated || token === undefined) return;
    }
  }

  async presign(key: string, { method, expiresIn }: PresignOptions): Promise<URL> {
    return new URL(await this.#client.signatureUrlV4(method, expiresIn, {}, this.#prefix + key));
  }

  async dropUnfinished(before: number): Promise<number> {
    let dropped = 0;
    for (let markers: Record<string, string> = {}; ; ) {
      const query = { 'max-uploads': 1000, prefix: this.#prefix, ...markers };
      const page = await this.#call('list unfinished', () => this.#client.listUploads(query));
      for (const { name, uploadId, initiated } of page.uploads ?? []) {
        if (!name.startsWith(this.#prefix) || !(Date.parse(initiated) < before)) continue;
        await this.abort({ target: name.slice(this.#prefix.length), id: uploadId });
        dropped++;
      }
      if (String(page.isTruncated) !== 'true' || page.nextKeyMarker === undefined) return dropped;
      markers = { 'key-marker': page.nextKeyMarker, 'upload-id-marker': page.nextUploadIdMarker ?? '' };
    }
  }

  async copy(source: StoredObject, target: string): Promise<void> {
    await this.#call(`copy ${source.key}`, () =>
      this.#client.copy(this.#prefix + target, this.#prefix + source.key, {
        headers: { ...this.#written, ...ifMatch(source) },
      }),
    );
  }

  async begin(target: string): Promise<string> {
    return await this.#call(`begin ${target}`, async () => {
      const options = { headers: this.#written };
      return (await this.#client.initMultipartUpload(this.#prefix + target, options)).uploadId;
    });
  }

  async copyPart({ target, id }: PartUpload, number: number, source: StoredObject): Promise<FinishedPart> {
    const from = { sourceKey: this.#prefix + source.key, sourceBucketName: this.#bucket };
    return await withRetry(() =>
      this.#call(`copy ${source.key}`, async () => {
        const range = `0-${source.size - 1}`;
        const headers = ifMatch(source);
        const name = this.#prefix + target;
        const { etag } = await this.#client.uploadPartCopy(name, id, number, range, from, { headers });
        return { number, etag };
      }),
    );
  }

  async putPart({ target, id }: PartUpload, number: number, bytes: Uint8Array): Promise<FinishedPart> {
    return await withRetry(() =>
      this.#call(`put part of ${target}`, async () => {
        const stream = Readable.from([bufferOf(bytes)], { objectMode: false });
        const data = { stream, size: bytes.length };
        const { etag } = await this.#client._uploadPart(this.#prefix + target, id, number, data);
        return { number, etag };
      }),
    );
  }

  async complete({ target, id }: PartUpload, parts: readonly FinishedPart[]): Promise<void> {
    await this.#call(`complete ${target}`, () =>
      this.#client.completeMultipartUpload(this.#prefix + target, id, parts),
    );
  }

  async abort({ target, id }: PartUpload): Promise<void> {
    await this.#absent(
      this.#call(`abort ${target}`, () => this.#client.abortMultipartUpload(this.#prefix + target, id)),
    );
  }

  async #call<T>(action: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      if (VarveError.is(cause)) throw cause;
      const { status, code } = cause as { readonly status?: number; readonly code?: string };
      // Below 0 it is the client's own: no connection, no answer.
      const known = status !== undefined && status >= 100;
      const name = !known && cause instanceof Error && !code?.startsWith('E') ? 'ECONNRESET' : code;
      throw storeError({ store: this.name, action, status: known ? status : undefined, code: name, cause });
    }
  }

  async #absent<T>(work: Promise<T>): Promise<T | undefined> {
    try {
      return await work;
    } catch (error) {
      if (isKind(error, 'not-found')) return undefined;
      throw error;
    }
  }
}

function ifMatch({ etag }: StoredObject): Record<string, string> {
  return etag === undefined ? {} : { 'x-oss-copy-source-if-match': etag };
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
