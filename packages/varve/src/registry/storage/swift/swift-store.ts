import { createHash, createHmac, randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import { mapLimit } from '../../../base/index.ts';
import type { ByteRange } from '../../../content/index.ts';
import type { SwiftSettings } from '../../config/index.ts';
import {
  groupSources,
  type ObjectStore,
  type PresignOptions,
  type StoredObject,
  storeError,
  withRetry,
} from '../objects/index.ts';
import { SwiftAccount, type SwiftAnswer } from './account.ts';

const segmentsPrefix = 'segments/';

/** Bounds that the tests make small. */
export interface SwiftBounds {
  readonly pageKeys: number;
  /** Segments that one manifest names: `max_manifest_segments` of a cluster that nobody tuned. */
  readonly maxSegments: number;
}

/**
 * OpenStack Swift, and Ceph's gateway speaking its API. An object of several chunks is a static large object over
 * copies of them, `segments/<its key>/<attempt>/<number>`. (Swift would copy a large object into a plain one; Ceph
 * copies its manifest.) Ceph has no manifests of manifests: there, an object has a thousand chunks at most.
 */
export class SwiftStore implements ObjectStore {
  readonly name = 'swift';
  readonly maxSources = Number.MAX_SAFE_INTEGER;
  readonly maxSourceBytes = 5 * 1024 * 1024 * 1024;
  readonly presign?: (key: string, options: PresignOptions) => Promise<URL>;
  readonly #account: SwiftAccount;
  readonly #container: string;
  readonly #prefix: string;
  readonly #pageKeys: number;
  readonly #maxSegments: number;
  #digest: Promise<'sha1' | 'sha256'> | undefined;

  constructor(settings: SwiftSettings, bounds: Partial<SwiftBounds> = {}) {
    this.#account = new SwiftAccount(settings);
    this.#container = encodeURIComponent(settings.container);
    const root = (settings.rootdirectory || settings.prefix || '').replace(/^\/+|\/+$/g, '');
    this.#prefix = root === '' ? '' : `${root}/`;
    this.#pageKeys = bounds.pageKeys ?? 1000;
    this.#maxSegments = bounds.maxSegments ?? 1000;
    const { secretkey } = settings;
    if (secretkey !== undefined) this.presign = (key, options) => this.#temporaryUrl(secretkey, key, options);
  }

  async stat(key: string): Promise<StoredObject | undefined> {
    return (await this.#head(key))?.object;
  }

  async read(key: string, range?: ByteRange): Promise<Readable> {
    const { body } = await this.#account.send(`read ${key}`, {
      method: 'GET',
      path: this.#path(key),
      headers: range
        ? { Range: `bytes=${range.start ?? 0}-${range.end === undefined ? '' : range.end - 1}` }
        : {},
    });
    return body;
  }

  async put(key: string, bytes: Uint8Array): Promise<{ readonly etag: string }> {
    const etag = createHash('md5').update(bytes).digest('hex');
    await this.#drop(
      this.#account.send(`put ${key}`, {
        method: 'PUT',
        path: this.#path(key),
        headers: { ETag: etag, 'Content-Type': 'application/octet-stream' },
        body: bytes,
      }),
    );
    return { etag };
  }

  async assemble(sources: readonly StoredObject[], target: string): Promise<void> {
    const [first] = sources;
    if (first && sources.length === 1) return await this.#copy(first, target);
    // Of this attempt alone: another one of the same blob may have other chunks.
    const attempt = randomUUID();
    const folder = `${segmentsPrefix}${target}/${attempt}`;
    const segments = await mapLimit(sources, 4, async (source, index) => {
      const key = `${folder}/${String(index).padStart(6, '0')}`;
      await withRetry(() => this.#copy(source, key));
      return { ...source, key };
    });
    const manifest = await this.#putManifests(segments, `${folder}/manifest`);
    await withRetry(() => this.#putManifest(manifest, target, attempt));
  }

  async remove(keys: readonly string[]): Promise<void> {
    const large = (
      await mapLimit(
        keys.filter((key) => key.startsWith('blobs/')),
        8,
        async (key) => ((await this.#head(key))?.attempt === undefined ? [] : [key]),
      )
    ).flat();
    await this.#removeAll(keys);
    for (const key of large) await this.#removeAll(await this.#keys(`${segmentsPrefix}${key}/`));
  }

  async *list(prefix: string): AsyncIterable<StoredObject> {
    for (let marker = ''; ; ) {
      const query = new URLSearchParams({
        format: 'json',
        prefix: this.#prefix + prefix,
        limit: String(this.#pageKeys),
        marker,
      });
      const page = await withRetry(async () => {
        const path = `/${this.#container}?${query.toString()}`;
        const answer = await this.#account.send(`list ${prefix}`, { method: 'GET', path });
        return await this.#json<readonly Listed[]>(`list ${prefix}`, answer, []);
      });
      for (const { name, bytes, hash, content_type, last_modified } of page) {
        if (name === undefined || !name.startsWith(this.#prefix)) continue;
        // UTC, without saying so.
        const modifiedAt = Date.parse(
          last_modified?.endsWith('Z') === true ? last_modified : `${last_modified}Z`,
        );
        yield {
          key: name.slice(this.#prefix.length),
          size: parseLarge(content_type ?? '')?.size ?? bytes ?? 0,
          modifiedAt,
          etag: hash,
        };
      }
      const last = page.at(-1)?.name;
      if (last === undefined || page.length < this.#pageKeys) return;
      marker = last;
    }
  }

  /** Segments of a large object that was never finished, was replaced, or whose removal was cut short. */
  async dropUnfinished(before: number): Promise<number> {
    const orphans: string[] = [];
    let owner = '';
    let inUse = '';
    for await (const { key, modifiedAt } of this.list(segmentsPrefix)) {
      const [current = '', attempt = ''] = splitSegment(key);
      if (current !== owner) {
        owner = current;
        inUse = (await this.#head(owner))?.attempt ?? '';
      }
      if (attempt !== inUse && modifiedAt < before) orphans.push(key);
    }
    await this.#removeAll(orphans);
    return orphans.length;
  }

  async close(): Promise<void> {
    await this.#account.close();
  }

  async #head(key: string): Promise<Head | undefined> {
    const answer = await this.#account.send(`stat ${key}`, { method: 'HEAD', path: this.#path(key) }, [404]);
    await answer.body.dump();
    if (answer.statusCode === 404) return undefined;
    const header = (name: string): string => String(answer.headers[name] ?? '');
    const seconds = Number(header('x-timestamp'));
    return {
      object: {
        key,
        size: Number(header('content-length')),
        modifiedAt: seconds > 0 ? seconds * 1000 : Date.parse(header('last-modified')),
        etag: header('etag'),
      },
      attempt: parseLarge(header('content-type'))?.attempt,
    };
  }

  async #copy({ key, etag }: StoredObject, target: string): Promise<void> {
    await this.#drop(
      this.#account.send(`copy ${key}`, {
        method: 'PUT',
        path: this.#path(target),
        headers: {
          'X-Copy-From': `/${this.#container}/${encodeURI(this.#prefix + key)}`,
          'Content-Type': 'application/octet-stream',
          // The copy has to have the bytes that were put (checked by Swift; Ceph ignores it).
          ...(etag === undefined ? {} : { ETag: etag }),
        },
      }),
    );
  }

  /** Manifests of manifests, until one has room for all. */
  async #putManifests(segments: readonly StoredObject[], below: string): Promise<readonly StoredObject[]> {
    let current = segments;
    for (let level = 1; current.length > this.#maxSegments; level++) {
      const groups = groupSources(current, this.#maxSegments, Number.MAX_SAFE_INTEGER);
      current = await mapLimit(groups, 4, async (group, index) => {
        const key = `${below}-${level}-${String(index).padStart(6, '0')}`;
        await withRetry(() => this.#putManifest(group, key, 'manifest'));
        return { key, size: totalSize(group), modifiedAt: 0 };
      });
    }
    return current;
  }

  async #putManifest(sources: readonly StoredObject[], target: string, attempt: string): Promise<void> {
    const manifest = sources.map(({ key, size, etag }) => ({
      path: `/${decodeURIComponent(this.#container)}/${this.#prefix}${key}`,
      size_bytes: size,
      ...(etag === undefined ? {} : { etag }),
    }));
    await this.#drop(
      this.#account.send(`put manifest ${target}`, {
        method: 'PUT',
        path: `${this.#path(target)}?multipart-manifest=put`,
        headers: { 'Content-Type': largeType(totalSize(sources), attempt) },
        body: JSON.stringify(manifest),
      }),
    );
  }

  async #keys(prefix: string): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of this.list(prefix)) keys.push(key);
    return keys;
  }

  async #removeAll(keys: readonly string[]): Promise<void> {
    if (keys.length <= 2) {
      for (const key of keys) {
        const path = this.#path(key);
        await this.#drop(this.#account.send(`remove ${key}`, { method: 'DELETE', path }, [404]));
      }
      return;
    }
    for (let start = 0; start < keys.length; start += 1000) await this.#bulk(keys.slice(start, start + 1000));
  }

  /** https://docs.openstack.org/swift/latest/api/bulk-delete.html: the real status is in the body. */
  async #bulk(keys: readonly string[]): Promise<void> {
    const action = `remove ${keys[0]}`;
    const sent = await this.#account.send(action, {
      method: 'POST',
      path: '?bulk-delete',
      headers: { 'Content-Type': 'text/plain', Accept: 'application/json' },
      body: keys.map((key) => `/${this.#container}/${encodeURI(this.#prefix + key)}\n`).join(''),
    });
    const answer = await this.#json<BulkAnswer>(action, sent, {});
    const errors = answer.Errors ?? [];
    const [, reason] = errors.find(([, status]) => !status.startsWith('404')) ?? [];
    const status = Number.parseInt(reason ?? answer['Response Status'] ?? '200', 10);
    if (reason === undefined && (status < 300 || errors.length > 0)) return;
    throw storeError({ store: this.name, action, status, cause: answer['Response Body'] ?? reason });
  }

  /** The body of an answer; one that is cut short is a failure that may pass. */
  async #json<T>(action: string, { body, statusCode }: SwiftAnswer, empty: T): Promise<T> {
    try {
      const text = await body.text();
      return statusCode === 204 ? empty : (JSON.parse(text) as T);
    } catch (cause) {
      throw storeError({ store: this.name, action, status: 502, cause });
    }
  }

  /** https://docs.openstack.org/swift/latest/api/temporary_url_middleware.html */
  async #temporaryUrl(secret: string, key: string, { method, expiresIn }: PresignOptions): Promise<URL> {
    const url = new URL(`${await this.#account.storageUrl()}${this.#path(key)}`);
    const expires = Math.floor(Date.now() / 1000) + expiresIn;
    this.#digest ??= this.#allowedDigest();
    const text = `${method}\n${expires}\n${decodeURIComponent(url.pathname)}`;
    const signature = createHmac(await this.#digest, secret)
      .update(text)
      .digest('hex');
    url.search = String(new URLSearchParams({ temp_url_sig: signature, temp_url_expires: String(expires) }));
    return url;
  }

  /** SHA-1 only for clusters that do not say what else they take. */
  async #allowedDigest(): Promise<'sha1' | 'sha256'> {
    const { tempurl } = (await this.#account.capabilities()) as { tempurl?: { allowed_digests?: string[] } };
    return tempurl?.allowed_digests?.includes('sha256') === true ? 'sha256' : 'sha1';
  }

  #path(key: string): string {
    return `/${this.#container}/${encodeURI(this.#prefix + key)}`;
  }

  async #drop(work: Promise<SwiftAnswer>): Promise<void> {
    await (await work).body.dump();
  }
}

/** The large object that a segment belongs to, and the attempt. */
function splitSegment(key: string): readonly string[] {
  const parts = key.slice(segmentsPrefix.length).split('/');
  return [parts.slice(0, -2).join('/'), parts.at(-2) ?? ''];
}

interface Head {
  readonly object: StoredObject;
  /** Of a large object: which attempt's segments it has. */
  readonly attempt: string | undefined;
}

/**
 * What a large object is goes into its media type, which every listing shows: Ceph lists the size of the manifest
 * itself, and never gives a manifest back.
 */
function largeType(size: number, attempt: string): string {
  return `application/octet-stream;size=${size};attempt=${attempt}`;
}

function parseLarge(type: string): { readonly size: number; readonly attempt: string } | undefined {
  const match = /^application\/octet-stream; *size=(\d+); *attempt=([0-9a-z-]+)/.exec(type);
  return match ? { size: Number(match[1]), attempt: match[2] ?? '' } : undefined;
}

function totalSize(sources: readonly StoredObject[]): number {
  return sources.reduce((sum, { size }) => sum + size, 0);
}

interface BulkAnswer {
  readonly 'Response Status'?: string;
  readonly 'Response Body'?: string;
  readonly Errors?: readonly (readonly [string, string])[];
}

interface Listed {
  readonly name?: string;
  readonly bytes?: number;
  readonly hash?: string;
  readonly content_type?: string;
  readonly last_modified?: string;
}
