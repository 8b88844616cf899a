import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { createHash } from 'node:crypto';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Readable } from 'node:stream';
import { VarveError } from '../../../base/index.ts';
import type { ByteRange } from '../../../content/index.ts';
import {
  assembleByParts,
  type ObjectStore,
  type PartsApi,
  type PresignOptions,
  type StoredObject,
  storeError,
  withRetry,
} from '../objects/index.ts';
import type { S3Settings } from '../../config/index.ts';

const mebibyte = 1024 * 1024;
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
const minPartBytes = 5 * mebibyte;
const maxCopyBytes = 5 * 1024 * mebibyte;
// A thousand, not S3's ten: OpenStack Swift's s3api takes no more, and 8 GiB is a rare layer.
const maxParts = 1000;

/** Amazon S3 and what speaks its protocol. */
export class S3Store implements ObjectStore, PartsApi {
  readonly name = 's3';
  readonly maxSources = maxParts;
  // Less than what one part copies, with room for what is put together on the way.
  readonly maxSourceBytes = 4 * 1024 * mebibyte;
  readonly minPartBytes = minPartBytes;
  readonly maxCopyBytes = maxCopyBytes;
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #prefix: string;
  readonly #pageKeys: number;
  readonly #written: Readonly<{
    ServerSideEncryption?: 'AES256' | 'aws:kms';
    SSEKMSKeyId?: string;
    StorageClass?: 'STANDARD';
  }>;

  /** @param pageKeys keys that one page of a listing has */
  constructor(settings: S3Settings, pageKeys = 1000) {
    this.#pageKeys = pageKeys;
    this.#client = new S3Client(clientConfig(settings));
    this.#bucket = settings.bucket;
    const root = settings.rootdirectory.replace(/^\/+|\/+$/g, '');
    this.#prefix = root === '' ? '' : `${root}/`;
    const { encrypt, keyid, storageclass } = settings;
    this.#written = {
      ...(encrypt ? { ServerSideEncryption: keyid === undefined ? 'AES256' : 'aws:kms' } : {}),
      ...(encrypt && keyid !== undefined ? { SSEKMSKeyId: keyid } : {}),
      // The SDK's type lists the classes it knows; other stores have their own names.
      ...(storageclass === undefined ? {} : { StorageClass: storageclass as 'STANDARD' }),
    };
  }

  async stat(key: string): Promise<StoredObject | undefined> {
    return await this.#absent(
      this.#call(`stat ${key}`, async () => {
        const head = await this.#client.send(new HeadObjectCommand(this.#at(key)));
        return {
          key,
          size: head.ContentLength ?? 0,
          modifiedAt: head.LastModified?.getTime() ?? 0,
          etag: head.ETag,
        };
      }),
    );
  }

  async read(key: string, range?: ByteRange): Promise<Readable> {
    return await this.#call(`read ${key}`, async () => {
      const { Body } = await this.#client.send(
        new GetObjectCommand({ ...this.#at(key), ...(range ? { Range: rangeHeader(range) } : {}) }),
      );
      if (!Body) throw new Error('the answer has no body');
      return Body as Readable;
    });
  }

  async put(key: string, bytes: Uint8Array): Promise<{ readonly etag?: string | undefined }> {
    return await this.#call(`put ${key}`, async () => {
      const { ETag } = await this.#client.send(
        new PutObjectCommand({
          ...this.#at(key),
          ...this.#written,
          Body: bytes,
          ContentLength: bytes.length,
        }),
      );
      return { etag: ETag };
    });
  }

  async assemble(sources: readonly StoredObject[], target: string): Promise<void> {
    await assembleByParts(this, this, sources, target);
  }

  async remove(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    await this.#call(`remove ${keys[0]}`, async () => {
      const command = new DeleteObjectsCommand({
        Bucket: this.#bucket,
        Delete: { Objects: keys.map((key) => ({ Key: this.#prefix + key })), Quiet: true },
      });
      // AWS takes the CRC that the SDK sends; most others know only this (RFC 1864).
      command.middlewareStack.add(
        (next) => async (args) => {
          addContentMd5(args.request);
          return await next(args);
        },
        { step: 'build', name: 'contentMd5' },
      );
      const { Errors } = await this.#client.send(command);
      const [failed] = (Errors ?? []).filter(({ Code }) => Code !== 'NoSuchKey');
      if (!failed) return;
      const transient = /SlowDown|InternalError|ServiceUnavailable/.test(failed.Code ?? '');
      throw storeError({
        store: this.name,
        action: `remove ${failed.Key}`,
        status: transient ? 503 : failed.Code === 'AccessDenied' ? 403 : 400,
        code: failed.Code,
        cause: failed.Message,
      });
    });
  }

  async *list(prefix: string): AsyncIterable<StoredObject> {
    for (let token: string | undefined; ; ) {
      const page = await withRetry(() =>
        this.#call(`list ${prefix}`, () =>
          this.#client.send(
            new ListObjectsV2Command({
              Bucket: this.#bucket,
              Prefix: this.#prefix + prefix,
              MaxKeys: this.#pageKeys,
              ...(token === undefined ? {} : { ContinuationToken: token }),
            }),
          ),
        ),
      );
      for (const { Key, Size, LastModified, ETag } of page.Contents ?? []) {
        if (!Key?.startsWith(this.#prefix)) continue;
        yield {
          key: Key.slice(this.#prefix.length),
          size: Size ?? 0,
          modifiedAt: LastModified?.getTime() ?? 0,
          etag: ETag,
        };
      }
      token = page.NextContinuationToken;
      if (page.IsTruncated !== true || token === undefined) return;
    }
  }

  async presign(key: string, { method, expiresIn }: PresignOptions): Promise<URL> {
    const url =
      method === 'GET'
        ? await getSignedUrl(this.#client, new GetObjectCommand(this.#at(key)), { expiresIn })
        : await getSignedUrl(this.#client, new HeadObjectCommand(this.#at(key)), { expiresIn });
    return new URL(url);
  }

  async dropUnfinished(before: number): Promise<number> {
    let dropped = 0;
    for (let KeyMarker: string | undefined, UploadIdMarker: string | undefined; ; ) {
      const page = await this.#call('list unfinished', () =>
        this.#client.send(
          new ListMultipartUploadsCommand({
            Bucket: this.#bucket,
            Prefix: this.#prefix,
            ...(KeyMarker === undefined ? {} : { KeyMarker }),
            ...(UploadIdMarker === undefined ? {} : { UploadIdMarker }),
          }),
        ),
      );
      for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
        if (!Key?.startsWith(this.#prefix) || UploadId === undefined) continue;
        if ((Initiated?.getTime() ?? Number.POSITIVE_INFINITY) >= before) continue;
        await this.abort({ target: Key.slice(this.#prefix.length), id: UploadId });
        dropped++;
      }
      if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return dropped;
      KeyMarker = page.NextKeyMarker;
      UploadIdMarker = page.NextUploadIdMarker;
    }
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }

  async copy(source: StoredObject, target: string): Promise<void> {
    await this.#call(`copy ${source.key}`, () =>
      this.#client.send(
        new CopyObjectCommand({ ...this.#at(target), ...this.#written, ...this.#source(source) }),
      ),
    );
  }

  async begin(target: string): Promise<string> {
    return await this.#call(`begin ${target}`, async () => {
      const { UploadId } = await this.#client.send(
        new CreateMultipartUploadCommand({ ...this.#at(target), ...this.#written }),
      );
      if (UploadId === undefined) throw new Error('the answer has no upload id');
      return UploadId;
    });
  }

  async copyPart(
    upload: { readonly target: string; readonly id: string },
    number: number,
    source: StoredObject,
  ): Promise<{ readonly number: number; readonly etag: string }> {
    return await withRetry(() =>
      this.#call(`copy ${source.key}`, async () => {
        const { CopyPartResult } = await this.#client.send(
          new UploadPartCopyCommand({
            ...this.#at(upload.target),
            ...this.#source(source),
            UploadId: upload.id,
            PartNumber: number,
          }),
        );
        return { number, etag: CopyPartResult?.ETag ?? '' };
      }),
    );
  }

  async putPart(
    upload: { readonly target: string; readonly id: string },
    number: number,
    bytes: Uint8Array,
  ): Promise<{ readonly number: number; readonly etag: string }> {
    return await withRetry(() =>
      this.#call(`put part of ${upload.target}`, async () => {
        const { ETag } = await this.#client.send(
          new UploadPartCommand({
            ...this.#at(upload.target),
            UploadId: upload.id,
            PartNumber: number,
            Body: bytes,
            ContentLength: bytes.length,
          }),
        );
        return { number, etag: ETag ?? '' };
      }),
    );
  }

  async complete(
    upload: { readonly target: string; readonly id: string },
    parts: readonly { readonly number: number; readonly etag: string }[],
  ): Promise<void> {
    await this.#call(`complete ${upload.target}`, () =>
      this.#client.send(
        new CompleteMultipartUploadCommand({
          ...this.#at(upload.target),
          UploadId: upload.id,
          MultipartUpload: { Parts: parts.map(({ number, etag }) => ({ PartNumber: number, ETag: etag })) },
        }),
      ),
    );
  }

  async abort(upload: { readonly target: string; readonly id: string }): Promise<void> {
    await this.#absent(
      this.#call(`abort ${upload.target}`, () =>
        this.#client.send(
          new AbortMultipartUploadCommand({ ...this.#at(upload.target), UploadId: upload.id }),
        ),
      ),
    );
  }

  #at(key: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.#bucket, Key: this.#prefix + key };
  }

  #source({ key, etag }: StoredObject): { readonly CopySource: string; readonly CopySourceIfMatch?: string } {
    const CopySource = `${this.#bucket}/${encodeURI(this.#prefix + key)}`;
    return etag === undefined ? { CopySource } : { CopySource, CopySourceIfMatch: etag };
  }

  async #call<T>(action: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      if (VarveError.is(cause)) throw cause;
      const { name, $metadata } = cause as { name?: string; $metadata?: { httpStatusCode?: number } };
      // A failure inside an answer that began with 200 (copies and completions) has only its code.
      const inside = $metadata?.httpStatusCode === 200;
      const status = inside ? (name === 'NoSuchKey' ? 404 : 503) : $metadata?.httpStatusCode;
      throw storeError({ store: this.name, action, status, code: name, cause });
    }
  }

  async #absent<T>(work: Promise<T>): Promise<T | undefined> {
    try {
      return await work;
    } catch (error) {
      if (VarveError.is(error) && error.kind === 'not-found') return undefined;
      throw error;
    }
  }
}

function addContentMd5(request: unknown): void {
  const { body, headers } = request as { readonly body?: unknown; readonly headers: Record<string, string> };
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) return;
  headers['content-md5'] = createHash('md5').update(body).digest('base64');
}

function rangeHeader({ start = 0, end }: ByteRange): string {
  return `bytes=${start}-${end === undefined ? '' : end - 1}`;
}

function clientConfig(settings: S3Settings): S3ClientConfig {
  const { accesskey, secretkey, sessiontoken, regionendpoint, secure, skipverify } = settings;
  const endpoint =
    regionendpoint === undefined || /^https?:/.test(regionendpoint)
      ? regionendpoint
      : `${secure ? 'https' : 'http'}://${regionendpoint}`;
  const agent = { keepAlive: true, maxSockets: 256 };
  return {
    region: settings.region,
    ...(endpoint === undefined ? {} : { endpoint }),
    // A store at an address of its own has no wildcard name for its buckets.
    forcePathStyle: settings.forcepathstyle ?? endpoint !== undefined,
    useAccelerateEndpoint: settings.accelerate,
    useDualstackEndpoint: settings.usedualstack,
    useFipsEndpoint: settings.usefipsendpoint,
    ...(accesskey === undefined || secretkey === undefined
      ? {}
      : {
          credentials: {
            accessKeyId: accesskey,
            secretAccessKey: secretkey,
            ...(sessiontoken === undefined ? {} : { sessionToken: sessiontoken }),
          },
        }),
    // Retries are ObjectStorage's; the checksums in trailers that the SDK would add break many stores that are not AWS.
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: 5000,
      socketTimeout: 60_000,
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent({ ...agent, rejectUnauthorized: !skipverify }),
    },
  };
}
