import { type Digest, isDigest } from '../../oci/index.ts';
import { isRepositoryName, isTag } from '../names.ts';

/** The copy of a manifest or of a tag that storage keeps. */
export type StoredRecord =
  | {
      readonly kind: 'manifest';
      readonly repository: string;
      readonly digest: Digest;
      readonly mediaType: string;
      readonly bytes: Uint8Array;
    }
  | { readonly kind: 'tag'; readonly repository: string; readonly tag: string; readonly digest: Digest };

/** A record's name in storage. */
export function recordName(kind: StoredRecord['kind'], repository: string, name: string): string {
  return `${kind} ${repository} ${name}`;
}

/** A line of JSON, and behind it the bytes of a manifest as they are: their digest must hold. */
export function writeRecord(record: StoredRecord): Buffer {
  if (record.kind === 'tag') return Buffer.from(`${JSON.stringify(record)}\n`);
  const { bytes, ...head } = record;
  return Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), bytes]);
}

/** undefined for what is no record of ours. */
export function readRecord(bytes: Uint8Array): StoredRecord | undefined {
  const end = bytes.indexOf(0x0a);
  if (end < 0) return undefined;
  let head: Readonly<Record<string, unknown>>;
  try {
    head = (JSON.parse(Buffer.from(bytes.subarray(0, end)).toString()) ?? {}) as typeof head;
  } catch {
    return undefined;
  }
  const { kind, repository, digest, mediaType, tag } = head;
  if (typeof repository !== 'string' || !isRepositoryName(repository)) return undefined;
  if (typeof digest !== 'string' || !isDigest(digest)) return undefined;
  if (kind === 'tag' && typeof tag === 'string' && isTag(tag)) return { kind, repository, tag, digest };
  if (kind !== 'manifest' || typeof mediaType !== 'string') return undefined;
  return { kind, repository, digest, mediaType, bytes: bytes.subarray(end + 1) };
}
