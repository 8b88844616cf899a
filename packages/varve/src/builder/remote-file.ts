import { createHash } from 'node:crypto';
import { createWriteStream, utimesSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { VarveError } from '../base/index.ts';
import { raw } from './raw-path.ts';
import type { PlacedSource } from './transfer-step.ts';
import { PathFilter } from './tree.ts';
import type { FetchRemote } from './types.ts';

export function isRemote(source: string): boolean {
  return /^https?:\/\//i.test(source);
}

/** True for the sources of ADD that name a git repository, which this builder does not fetch. */
export function isGit(source: string): boolean {
  return /^(?:git@|git:\/\/|ssh:\/\/)/.test(source) || /^https?:\/\/[^?#]+\.git(?:[?#]|$)/.test(source);
}

/** Fetches with the platform's own client. */
export const fetchUrl: FetchRemote = async (url, options) => {
  let response: Response;
  try {
    response = await fetch(url, options.signal ? { signal: options.signal } : {});
  } catch (cause) {
    throw new VarveError('unavailable', 'ADD_FETCH_FAILED', `failed to GET ${url}: ${String(cause)}`, {
      subject: url,
      cause,
    });
  }
  if (!response.ok || !response.body) {
    await response.body?.cancel();
    throw new VarveError(
      'not-found',
      'ADD_FETCH_FAILED',
      `failed to GET ${url} with status ${response.status} ${response.statusText}`,
      { subject: url },
    );
  }
  const lastModified = Date.parse(response.headers.get('last-modified') ?? '');
  return { body: response.body, ...(Number.isNaN(lastModified) ? {} : { lastModified }) };
};

/** File name of a URL: its last path part. */
function nameOf(url: string, destination: string): string {
  const last = new URL(url).pathname.split('/').at(-1) ?? '';
  let name: string;
  try {
    name = decodeURIComponent(last);
  } catch {
    name = last;
  }
  if (!/^[^/\0]+$/.test(name) || name === '.' || name === '..') {
    if (!destination.endsWith('/')) return 'download';
    throw new VarveError('invalid', 'ADD_NO_NAME', `cannot determine filename for source ${url}`, {
      subject: url,
      hint: 'give the destination as a file name',
    });
  }
  return name;
}

/**
 * Downloads a source of ADD: mode 0600, the time of Last-Modified (Dockerfile reference, "Adding files from a URL").
 * @param checksum `sha256:…` that the bytes must have.
 * @throws VarveError `unavailable`, `not-found`, or `data-loss` for another checksum.
 */
export async function downloadSource(
  url: string,
  folder: string,
  fetchRemote: FetchRemote,
  options: {
    readonly destination: string;
    readonly checksum?: string | undefined;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<PlacedSource> {
  const { checksum, signal } = options;
  const name = nameOf(url, options.destination);
  const algorithm = /^(sha256|sha384|sha512):/.exec(checksum ?? 'sha256:')?.[1];
  if (algorithm === undefined) {
    throw new VarveError('invalid', 'INVALID_CHECKSUM', `invalid checksum: ${checksum ?? ''}`, {
      subject: url,
    });
  }
  const { body, lastModified = 0 } = await fetchRemote(url, signal ? { signal } : {});
  const hash = createHash(algorithm);
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  const path = joinPath(folder, 'content');
  await pipeline(
    Readable.from(body),
    count,
    createWriteStream(path, { mode: 0o600 }),
    signal ? { signal } : {},
  );
  const digest = `${algorithm}:${hash.digest('hex')}`;
  if (checksum !== undefined && checksum !== digest) {
    throw new VarveError(
      'data-loss',
      'DIGEST_MISMATCH',
      `digest mismatch for ${url}: ${digest} (expected: ${checksum})`,
      {
        subject: url,
      },
    );
  }
  utimesSync(path, lastModified / 1000, lastModified / 1000);
  const root = { folder: raw(folder), filter: PathFilter.everything, context: false };
  return { root, path: 'content', name: raw(name), directory: false, parents: '', archive: false };
}
