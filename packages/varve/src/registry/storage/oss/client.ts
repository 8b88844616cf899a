import { createRequire } from 'node:module';
import type { Readable } from 'node:stream';

/** The part of `ali-oss` that is used; it brings no types. */
export interface OssClient {
  head(name: string): Promise<{ readonly res: OssResponse }>;
  getStream(
    name: string,
    options?: { readonly headers?: Readonly<Record<string, string>> },
  ): Promise<{ readonly stream: Readable; readonly res: OssResponse }>;
  put(
    name: string,
    bytes: Buffer,
    options: { readonly headers: Readonly<Record<string, string>> },
  ): Promise<{ readonly res: OssResponse }>;
  copy(
    target: string,
    source: string,
    options: { readonly headers: Readonly<Record<string, string>> },
  ): Promise<unknown>;
  deleteMulti(names: readonly string[], options: { readonly quiet: boolean }): Promise<unknown>;
  listV2(query: Readonly<Record<string, string | number>>): Promise<{
    readonly objects?: readonly OssListed[];
    readonly isTruncated: boolean;
    readonly nextContinuationToken?: string;
  }>;
  initMultipartUpload(
    name: string,
    options: { readonly headers: Readonly<Record<string, string>> },
  ): Promise<{ readonly uploadId: string }>;
  _uploadPart(
    name: string,
    uploadId: string,
    number: number,
    data: { readonly stream: Readable; readonly size: number },
    options?: object,
  ): Promise<{ readonly etag: string }>;
  uploadPartCopy(
    name: string,
    uploadId: string,
    number: number,
    range: string | undefined,
    source: { readonly sourceKey: string; readonly sourceBucketName: string },
    options: { readonly headers: Readonly<Record<string, string>> },
  ): Promise<{ readonly etag: string }>;
  completeMultipartUpload(
    name: string,
    uploadId: string,
    parts: readonly { readonly number: number; readonly etag: string }[],
  ): Promise<unknown>;
  abortMultipartUpload(name: string, uploadId: string): Promise<unknown>;
  listUploads(query: Readonly<Record<string, string | number>>): Promise<{
    readonly uploads?: readonly {
      readonly name: string;
      readonly uploadId: string;
      readonly initiated: string;
    }[];
    readonly isTruncated: boolean | string;
    readonly nextKeyMarker?: string;
    readonly nextUploadIdMarker?: string;
  }>;
  signatureUrlV4(method: string, expires: number, request: object, name: string): Promise<string>;
}

export interface OssResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

export interface OssListed {
  readonly name: string;
  readonly size: number | string;
  readonly lastModified: string;
  readonly etag: string;
}

export interface OssOptions {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  readonly region: string;
  readonly bucket: string;
  readonly secure: boolean;
  readonly internal: boolean;
  readonly endpoint?: string;
  readonly cname?: boolean;
  readonly authorizationV4: boolean;
  readonly timeout: number;
  readonly retryMax: number;
}

/** `ali-oss` is CommonJS without types. */
export function openOssClient(options: OssOptions): OssClient {
  const Client = createRequire(import.meta.url)('ali-oss') as new (options: OssOptions) => OssClient;
  return new Client(options);
}
