import type { Digest } from '../../oci/index.ts';
import { RegistryError } from '../errors.ts';
import type { BlobRecord } from '../metadata/index.ts';
import { checkDigest } from '../names.ts';
import { ArrivingBlob } from '../proxy/index.ts';
import { matchesEtag, parseRange } from './ranges.ts';
import type { Handler, Services } from './services.ts';
import { sendStoredBlob } from './stored-blob.ts';

/** GET and HEAD of a blob, whole or a range of it. spec.md#pulling-blobs. */
export const getBlob: Handler = async (exchange, services) => {
  const { storage, recentlyUsed, redirect } = services;
  const { name, reference } = exchange.route;
  const digest = checkDigest(reference);
  const blob = await findBlob(services, name, digest, exchange.request.method === 'HEAD');
  if (!blob) throw new RegistryError('BLOB_UNKNOWN', { detail: { digest } });
  recentlyUsed.add(digest);
  const etag = `"${digest}"`;
  const headers = [
    'Content-Type',
    'application/octet-stream',
    'Docker-Content-Digest',
    digest,
    'Etag',
    etag,
    'Accept-Ranges',
    'bytes',
    'Cache-Control',
    'max-age=31536000',
  ];
  if (matchesEtag(exchange.header('if-none-match'), etag)) return exchange.send(304, headers);
  if (exchange.request.method === 'HEAD') {
    return exchange.send(200, [...headers, 'Content-Length', String(blob.size)]);
  }
  if (storage.presign && !redirect.disable && !(blob instanceof ArrivingBlob)) {
    const url = await storage.presign(digest, { method: 'GET', expiresIn: redirect.expires });
    // The address is good for this client and for a time: no cache may keep it longer (RFC 9111 section 4.2.2).
    const answer = ['Location', url.href, 'Docker-Content-Digest', digest, 'Cache-Control', 'no-store'];
    return exchange.send(307, answer);
  }
  const ifRange = exchange.header('if-range');
  const range =
    ifRange === undefined || ifRange === etag ? parseRange(exchange.header('range'), blob.size) : undefined;
  if (range === 'unsatisfiable') {
    throw new RegistryError('RANGE_INVALID', {
      message: 'requested range not satisfiable',
      headers: { 'Content-Range': `bytes */${blob.size}` },
    });
  }
  const { start, end } = range ?? { start: 0, end: blob.size };
  const status = range ? 206 : 200;
  if (range) headers.push('Content-Range', `bytes ${start}-${end - 1}/${blob.size}`);
  if (blob instanceof ArrivingBlob) {
    if (end === blob.size) return await exchange.stream(status, headers, end - start, blob.read(start));
    // A part of the middle would be whole long before anybody knows whether it is right.
    await blob.stored;
  }
  if (end === start) return exchange.send(status, headers, '');
  await sendStoredBlob(exchange, storage, digest, { status, headers, start, end });
};

/** A blob that is here, or that comes here because somebody reads it. */
async function findBlob(
  { metadata, proxy, usedWithinMs }: Services,
  repository: string,
  digest: Digest,
  headOnly: boolean,
): Promise<BlobRecord | ArrivingBlob | undefined> {
  const blob = await (metadata.useBlob
    ? metadata.useBlob(repository, digest, Date.now() - usedWithinMs)
    : metadata.blob(repository, digest));
  if (blob) return blob;
  return headOnly ? await proxy.describeBlob(repository, digest) : await proxy.ensureBlob(repository, digest);
}

/** Takes a blob out of a repository. spec.md#deleting-blobs. */
export const deleteBlob: Handler = async (exchange, { metadata, deleteEnabled }) => {
  if (!deleteEnabled) throw deletesAreDisabled();
  const { name, reference } = exchange.route;
  const digest = checkDigest(reference);
  const deletion = await metadata.removeBlob(name, digest);
  if (deletion === 'unknown') throw new RegistryError('BLOB_UNKNOWN', { detail: { digest } });
  if (deletion === 'referenced') {
    throw new RegistryError('DENIED', {
      status: 405,
      message: 'a manifest of this repository needs the blob: delete the manifest first',
      detail: { digest },
    });
  }
  exchange.send(202, ['Docker-Content-Digest', digest]);
};

/** 405 with the setting that allows it. */
export function deletesAreDisabled(): RegistryError {
  return new RegistryError('UNSUPPORTED', {
    message: 'the operation is unsupported: deleting is off (storage.delete.enabled)',
  });
}
