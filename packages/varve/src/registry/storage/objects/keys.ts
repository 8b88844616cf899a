import { VarveError } from '../../../base/index.ts';
import { type Digest, digestAlgorithm, digestHex, digestOf, isDigest } from '../../../oci/index.ts';

export const blobsPrefix = 'blobs/';
export const uploadsPrefix = 'uploads/';
export const recordsPrefix = 'records/';

const uploadId = /^[0-9a-zA-Z-]{1,64}$/;
const blobKeyPattern = /^blobs\/(sha256|sha512)\/[0-9a-f]{2}\/([0-9a-f]+)$/;
const uploadKeyPattern = /^uploads\/([0-9a-zA-Z-]{1,64})\/([0-9a-z-]+)$/;
const chunkName = /^\d{16}$/;

/** @throws VarveError `DIGEST_INVALID` */
export function blobKey(digest: Digest): string {
  if (!isDigest(digest)) throw new VarveError('invalid', 'DIGEST_INVALID', 'invalid digest');
  const hex = digestHex(digest);
  return `${blobsPrefix}${digestAlgorithm(digest)}/${hex.slice(0, 2)}/${hex}`;
}

/** undefined for a key that is no blob's. */
export function digestOfKey(key: string): Digest | undefined {
  const match = blobKeyPattern.exec(key);
  const digest = `${match?.[1]}:${match?.[2]}`;
  return match && isDigest(digest) ? digest : undefined;
}

export function isUploadId(id: string): boolean {
  return uploadId.test(id);
}

/** The prefix of all that an upload keeps. @throws VarveError `BLOB_UPLOAD_INVALID` */
export function uploadPrefix(id: string): string {
  if (!uploadId.test(id)) throw new VarveError('invalid', 'BLOB_UPLOAD_INVALID', 'invalid upload id');
  return `${uploadsPrefix}${id}/`;
}

export function noteKey(id: string): string {
  return `${uploadPrefix(id)}note`;
}

/** A chunk is named by where it begins, so that the chunks of an upload are listed in their order. */
export function chunkKey(id: string, offset: number): string {
  return `${uploadPrefix(id)}${String(offset).padStart(16, '0')}`;
}

/** What a key under `uploads/` is; undefined for one that is not ours. */
export function parseUploadKey(
  key: string,
): { readonly id: string; readonly name: string; readonly offset?: number } | undefined {
  const match = uploadKeyPattern.exec(key);
  if (!match) return undefined;
  const [, id = '', name = ''] = match;
  return { id, name, ...(chunkName.test(name) ? { offset: Number(name) } : {}) };
}

/** Names of records have characters that keys may not have, so the key is a hash of it. */
export function recordKey(name: string): string {
  const hex = digestHex(digestOf(name));
  return `${recordsPrefix}${hex.slice(0, 2)}/${hex}`;
}
