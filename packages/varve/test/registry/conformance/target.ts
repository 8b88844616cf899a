import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { type Digest, digestOf } from '../../../src/oci/index.ts';
import { type Answer, type CallOptions, httpCall } from '../../../src/registry/testing/index.ts';
import type { BlobData, Kind, ManifestData } from './data.ts';

// One connection: requests come one after the other.
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const octets = { 'Content-Type': 'application/octet-stream' };

/** Every code of spec.md#error-codes, with those for ranges, tags and pages that registries add. */
const errorCodes: ReadonlySet<string> = new Set([
  'BLOB_UNKNOWN',
  'BLOB_UPLOAD_INVALID',
  'BLOB_UPLOAD_UNKNOWN',
  'DIGEST_INVALID',
  'MANIFEST_BLOB_UNKNOWN',
  'MANIFEST_INVALID',
  'MANIFEST_UNKNOWN',
  'NAME_INVALID',
  'NAME_UNKNOWN',
  'SIZE_INVALID',
  'UNAUTHORIZED',
  'DENIED',
  'UNSUPPORTED',
  'TOOMANYREQUESTS',
  'RANGE_INVALID',
  'TAG_INVALID',
]);

/** A registry under test, with a repository that has all of a kind of data and one that has nothing. */
export class Target {
  readonly url: string;
  readonly full: string;
  readonly empty: string;

  constructor(url: string, full: string, empty: string) {
    this.url = url;
    this.full = full;
    this.empty = empty;
  }

  /** A request that has to be answered with `status`; an error has to have a body as spec.md#error-codes has it. */
  async ask(method: string, path: string, status: number, options: CallOptions = {}): Promise<Answer> {
    const answer = await httpCall(this.url, method, path, { agent, ...options });
    const what = `${method} ${path.slice(0, 200)}: ${answer.status} ${answer.body.subarray(0, 300).toString()}`;
    assert.equal(answer.status, status, what);
    if (status < 400 || method === 'HEAD') return answer;
    assert.match(String(answer.headers['content-type']), /^application\/json/, what);
    assert.ok(answer.codes().length > 0, what);
    for (const code of answer.codes()) assert.ok(errorCodes.has(code), `${what}: ${code}`);
    return answer;
  }

  /** A request that has to be refused with this status and code. */
  async refused(
    method: string,
    path: string,
    status: number,
    code: string,
    options?: CallOptions,
  ): Promise<Answer> {
    const answer = await this.ask(method, path, status, options);
    assert.ok(answer.codes().includes(code), `${method} ${path}: ${answer.codes().join(', ')}, not ${code}`);
    return answer;
  }

  /** Opens an upload. @returns the path to go on at */
  async open(repository: string, query = '', status = 202): Promise<string> {
    return this.next(await this.ask('POST', `/v2/${repository}/blobs/uploads/${query}`, status));
  }

  /** Where an answer says to go on; spec.md allows a whole URL and a path. */
  next(answer: Answer): string {
    const { location } = answer.headers;
    assert.ok(location, 'no Location');
    const url = new URL(location, this.url);
    assert.equal(url.host, new URL(this.url).host);
    return `${url.pathname}${url.search}`;
  }

  async patch(
    path: string,
    chunk: Buffer | AsyncIterable<Uint8Array>,
    status: number,
    start?: number,
  ): Promise<Answer> {
    const range: Record<string, string> =
      start === undefined || !Buffer.isBuffer(chunk)
        ? {}
        : { 'Content-Range': `${start}-${start + chunk.length - 1}` };
    return await this.ask('PATCH', path, status, { body: chunk, headers: { ...octets, ...range } });
  }

  /** Ends an upload; the answer has to say where the blob is, and it has to be there. */
  async close(
    repository: string,
    path: string,
    { bytes, digest }: BlobData,
    chunk: Buffer = Buffer.alloc(0),
    start?: number,
  ): Promise<void> {
    const range: Record<string, string> =
      start === undefined ? {} : { 'Content-Range': `${start}-${start + chunk.length - 1}` };
    const mark = path.includes('?') ? '&' : '?';
    const created = await this.ask('PUT', `${path}${mark}digest=${digest}`, 201, {
      body: chunk,
      headers: { ...octets, ...range },
    });
    await this.isCreated(repository, created, digest, bytes);
  }

  async isCreated(repository: string, answer: Answer, digest: Digest, bytes: Buffer): Promise<void> {
    const found = await this.ask('GET', this.next(answer), 200);
    assert.equal(found.body.equals(bytes), true, 'the bytes at Location are others');
    assert.equal(answer.headers['docker-content-digest'] ?? digest, digest);
    await this.ask('HEAD', `/v2/${repository}/blobs/${digest}`, 200);
  }

  put(
    { bytes, mediaType }: ManifestData,
    repository: string,
    reference: string,
    status: number,
  ): Promise<Answer> {
    return this.ask('PUT', `/v2/${repository}/manifests/${reference}`, status, {
      body: bytes,
      headers: { 'Content-Type': mediaType },
    });
  }

  async pushBlobs(repository: string, { blobs }: Kind): Promise<void> {
    for (const { bytes, digest } of blobs) {
      const path = await this.open(repository);
      const mark = path.includes('?') ? '&' : '?';
      await this.ask('PUT', `${path}${mark}digest=${digest}`, 201, { body: bytes, headers: octets });
    }
  }

  /** Pushes everything, by tag what has one, by digest the rest and what sha256 does not name. */
  async push(repository: string, kind: Kind): Promise<void> {
    await this.pushBlobs(repository, kind);
    for (const manifest of kind.manifests) {
      for (const tag of manifest.tags) await this.put(manifest, repository, tag, 201);
      if (manifest.tags.length === 0 || manifest.digest !== digestOf(manifest.bytes)) {
        await this.put(manifest, repository, manifest.digest, 201);
      }
    }
  }
}
