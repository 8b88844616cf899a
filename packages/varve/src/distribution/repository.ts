import { isKind, VarveError } from '../base/index.ts';
import type { ByteRange } from '../content/index.ts';
import {
  type Descriptor,
  type Digest,
  digestAlgorithm,
  digestOf,
  familiarName,
  familiarReference,
  isDigest,
  isIndexType,
  isManifestType,
  isTag,
  manifestSizeLimit,
  mediaTypes,
  parseDigest,
  parseManifestDocument,
  type Reference,
  withDigest,
  withTag,
} from '../oci/index.ts';
import type { Scope } from './authorizer.ts';
import type { FailureContext } from './failures.ts';
import type { RetryPolicy } from './retry.ts';
import type { RegistryRequest, RegistrySession } from './session.ts';
import type { HttpAnswer } from './transport.ts';
import type { RawManifest, RemoteRepository, RequestOptions } from './types.ts';
import { uploadBlob } from './upload.ts';

const manifestAccept = [
  mediaTypes.ociIndex,
  mediaTypes.dockerManifestList,
  mediaTypes.ociManifest,
  mediaTypes.dockerManifest,
].join(', ');
const schema1Types = 'application/vnd.docker.distribution.manifest.v1+';
const referrersLimit = 4 * 1024 * 1024;
const maxReferrers = 1000;
const tagPageLimit = 8 * 1024 * 1024;
const tagPageSize = 1000;
/** A list of tags has at most so many pages. */
const tagPages = 10_000;

type Call = Omit<RegistryRequest, 'scopes' | 'context' | 'target'> & {
  /** Path below the repository. */
  readonly target: string;
  readonly reference?: string;
};

/** {@link RemoteRepository} over HTTP. OCI distribution spec 1.1. */
export class HttpRepository implements RemoteRepository {
  readonly host: string;
  readonly path: string;
  readonly #reference: Reference;
  readonly #origin: RegistrySession;
  /** Asked first when reading. */
  readonly #mirrors: readonly RegistrySession[];
  readonly #retry: RetryPolicy;
  /** Uploads that a refused mount opened. */
  readonly #opened = new Map<Digest, URL>();

  constructor(
    reference: Reference,
    origin: RegistrySession,
    mirrors: readonly RegistrySession[],
    retry: RetryPolicy,
  ) {
    this.host = reference.domain;
    this.path = reference.path;
    this.#reference = reference;
    this.#origin = origin;
    this.#mirrors = mirrors;
    this.#retry = retry;
  }

  async headManifest(tagOrDigest: string, options: RequestOptions = {}): Promise<Descriptor | undefined> {
    const call: Call = {
      method: 'HEAD',
      target: `manifests/${this.#checkName(tagOrDigest)}`,
      headers: { accept: manifestAccept },
      accept: [200, 404],
      reference: this.#show(tagOrDigest),
      signal: options.signal,
    };
    const answer = await this.#read(call, async (session, request) => {
      const found = await session.request(request);
      await found.discard();
      return found.status === 404 ? undefined : found;
    });
    if (answer === undefined) return undefined;
    const mediaType = contentType(answer);
    const announced = answer.header('docker-content-digest');
    const digest = isDigest(tagOrDigest) ? tagOrDigest : announced;
    const size = Number(answer.header('content-length') ?? Number.NaN);
    if (digest === undefined || !isDigest(digest) || !Number.isSafeInteger(size) || !isKnown(mediaType)) {
      // Some registries answer HEAD with less than GET.
      return (await this.getManifest(tagOrDigest, options)).descriptor;
    }
    return { mediaType, digest, size };
  }

  async getManifest(tagOrDigest: string, options: RequestOptions = {}): Promise<RawManifest> {
    const call: Call = {
      method: 'GET',
      target: `manifests/${this.#checkName(tagOrDigest)}`,
      headers: { accept: manifestAccept },
      accept: [200],
      reference: this.#show(tagOrDigest),
      signal: options.signal,
    };
    return await this.#read(call, async (session, request) => {
      const { answer, bytes } = await session.fetch(request, manifestSizeLimit);
      return this.#toManifest(tagOrDigest, answer, bytes);
    });
  }

  async putManifest(tagOrDigest: string, manifest: RawManifest, options: RequestOptions = {}): Promise<void> {
    const answer = await this.#write({
      method: 'PUT',
      target: `manifests/${this.#checkName(tagOrDigest)}`,
      headers: { 'content-type': manifest.descriptor.mediaType },
      body: manifest.bytes,
      accept: [200, 201, 202],
      reference: this.#show(tagOrDigest),
      signal: options.signal,
    });
    await answer.discard();
    const stored = answer.header('docker-content-digest');
    if (
      stored !== undefined &&
      isDigest(stored) &&
      digestAlgorithm(stored) === digestAlgorithm(manifest.descriptor.digest) &&
      stored !== manifest.descriptor.digest
    ) {
      throw new VarveError(
        'data-loss',
        'DIGEST_MISMATCH',
        `${this.host} stored the manifest as ${stored}, not as ${manifest.descriptor.digest}`,
        { subject: manifest.descriptor.digest },
      );
    }
  }

  async hasBlob(digest: Digest, options: RequestOptions = {}): Promise<boolean> {
    const answer = await this.#write({
      method: 'HEAD',
      target: `blobs/${parseDigest(digest)}`,
      accept: [200, 404],
      signal: options.signal,
    });
    await answer.discard();
    return answer.status === 200;
  }

  async getBlob(
    blob: Descriptor,
    options: RequestOptions & { readonly range?: ByteRange } = {},
  ): Promise<{ readonly offset: number; readonly body: AsyncIterable<Uint8Array> }> {
    const { start = 0, end } = options.range ?? {};
    const ranged = start > 0 || end !== undefined;
    const call: Call = {
      method: 'GET',
      target: `blobs/${parseDigest(blob.digest)}`,
      headers: ranged ? { range: `bytes=${start}-${end === undefined ? '' : end - 1}` } : {},
      accept: ranged ? [200, 206] : [200],
      signal: options.signal,
    };
    const answer = await this.#read(call, (session, request) => session.request(request));
    if (answer.status === 200) return { offset: 0, body: answer.body };
    const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(answer.header('content-range') ?? '');
    const total = match?.[3] === '*' ? blob.size : Number(match?.[3]);
    if (match === null || Number(match[1]) !== start || total !== blob.size) {
      await answer.discard();
      throw new VarveError(
        'invalid',
        'RANGE_INVALID',
        `${this.host} sent another part of blob ${blob.digest} than was asked for`,
        { subject: blob.digest },
      );
    }
    return { offset: start, body: answer.body };
  }

  async mountBlob(digest: Digest, from: string, options: RequestOptions = {}): Promise<boolean> {
    const { session, scopes, context } = this.#writer();
    const answer = await session.request({
      method: 'POST',
      target: this.#url('blobs/uploads/'),
      query: { mount: parseDigest(digest), from },
      body: new Uint8Array(),
      scopes: [...scopes, `repository:${from}:pull`],
      context,
      accept: [201, 202],
      signal: options.signal,
    });
    await answer.discard();
    if (answer.status === 202) this.#opened.set(digest, session.location(answer));
    return answer.status === 201;
  }

  async putBlob(
    blob: { readonly digest: Digest; readonly size: number },
    open: (start: number) => AsyncIterable<Uint8Array>,
    options: RequestOptions & { readonly onProgress?: (sent: number) => void } = {},
  ): Promise<void> {
    const location = this.#opened.get(blob.digest);
    this.#opened.delete(blob.digest);
    const target = { ...this.#writer(), uploads: this.#url('blobs/uploads/'), retry: this.#retry };
    const source = { ...blob, open, onProgress: options.onProgress ?? (() => undefined) };
    await uploadBlob(target, source, { signal: options.signal, location });
  }

  async *listTags(options: RequestOptions = {}): AsyncGenerator<string, void, void> {
    const { session, scopes } = this.#writer('pull');
    const path = this.#url('tags/list');
    let target: string | URL = path;
    let query: Readonly<Record<string, string>> = { n: String(tagPageSize) };
    for (let page = 0; page < tagPages; page++) {
      const request = {
        method: 'GET',
        target,
        query,
        scopes,
        accept: [200],
        signal: options.signal,
      } as const;
      const { answer, bytes } = await session.fetch(
        { ...request, context: this.#context('pull') },
        tagPageLimit,
      );
      yield* readTags(bytes, this.host);
      const next = nextPage(answer);
      if (next === undefined || next.href === answer.url.href) return;
      // The next page is on the same host and of the same list, or credentials would go elsewhere.
      if (next.origin !== answer.url.origin || next.pathname !== answer.url.pathname) return;
      target = next;
      query = {};
    }
  }

  async listReferrers(subject: Digest, options: RequestOptions = {}): Promise<readonly Descriptor[]> {
    const call: Call = {
      method: 'GET',
      target: `referrers/${parseDigest(subject)}`,
      headers: { accept: mediaTypes.ociIndex },
      accept: [200, 404],
      signal: options.signal,
    };
    const answer = await this.#read(call, async (session, request) => {
      const found = await session.fetch(request, referrersLimit);
      return found.answer.status === 404 ? undefined : found.bytes;
    });
    const bytes = answer ?? (await this.#referrersTag(subject, options));
    if (!bytes) return [];
    const document = parseManifestDocument(bytes, mediaTypes.ociIndex);
    return document.kind === 'index' ? document.document.manifests.slice(0, maxReferrers) : [];
  }

  /** Where clients keep the list at a registry that does not. spec.md#referrers-tag-schema */
  async #referrersTag(subject: Digest, options: RequestOptions): Promise<Buffer | undefined> {
    try {
      return (await this.getManifest(subject.replace(':', '-'), options)).bytes;
    } catch (error) {
      if (isKind(error, 'not-found')) return undefined;
      throw error;
    }
  }

  async deleteManifest(digest: Digest, options: RequestOptions = {}): Promise<void> {
    const { session } = this.#writer();
    const answer = await session.request({
      method: 'DELETE',
      target: this.#url(`manifests/${parseDigest(digest)}`),
      scopes: [`repository:${this.path}:delete`],
      context: this.#context('push', this.#show(digest)),
      accept: [200, 202, 204],
      signal: options.signal,
    });
    await answer.discard();
  }

  /** Asks the mirrors, then the registry; what `use` gives for a mirror counts unless it is undefined or fails. */
  async #read<T>(
    call: Call,
    use: (session: RegistrySession, request: RegistryRequest) => Promise<T>,
  ): Promise<T> {
    const { reference, target, ...rest } = call;
    const request = {
      ...rest,
      target: this.#url(target),
      scopes: [`repository:${this.path}:pull`],
      context: this.#context('pull', reference),
    };
    for (const mirror of this.#mirrors) {
      try {
        const result = await use(mirror, request);
        if (result !== undefined) return result;
      } catch (error) {
        // A mirror is a convenience: whatever is wrong with it, the registry itself decides.
        if (call.signal?.aborted) throw error;
      }
    }
    return await use(this.#origin, request);
  }

  /** @throws VarveError `data-loss` when the bytes are not what was asked for or announced, `invalid` for schema 1. */
  #toManifest(tagOrDigest: string, answer: HttpAnswer, bytes: Buffer): RawManifest {
    const sent = contentType(answer);
    // Before its digest, which is not that of these bytes.
    if (sent.startsWith(schema1Types)) throw schema1Error(this.#show(tagOrDigest));
    const announced = answer.header('docker-content-digest');
    const promised = [
      ...(isDigest(tagOrDigest) ? [tagOrDigest] : []),
      ...(announced === undefined ? [] : [parseDigest(announced)]),
    ];
    for (const digest of promised) {
      const found = digestOf(bytes, digestAlgorithm(digest));
      if (found === digest) continue;
      const message = `the manifest of ${this.#show(tagOrDigest)} hashes to ${found}, not to ${digest}`;
      throw new VarveError('data-loss', 'DIGEST_MISMATCH', message, { subject: digest });
    }
    const mediaType = isKnown(sent) ? sent : parseManifestDocument(bytes).mediaType;
    return { descriptor: { mediaType, digest: promised[0] ?? digestOf(bytes), size: bytes.length }, bytes };
  }

  async #write(call: Call): Promise<HttpAnswer> {
    const { session, scopes } = this.#writer();
    const { reference, target, ...rest } = call;
    return await session.request({
      ...rest,
      target: this.#url(target),
      scopes,
      context: this.#context('push', reference),
    });
  }

  #writer(action: 'pull' | 'push' = 'push'): {
    readonly session: RegistrySession;
    readonly scopes: readonly Scope[];
    readonly context: FailureContext;
  } {
    const actions = action === 'push' ? 'pull,push' : 'pull';
    return {
      session: this.#origin,
      scopes: [`repository:${this.path}:${actions}`],
      context: this.#context(action),
    };
  }

  #url(below: string): string {
    return `/v2/${this.path}/${below}`;
  }

  #context(action: 'pull' | 'push', reference?: string): FailureContext {
    const name = familiarName(this.#reference);
    return { action, name, ...(reference === undefined ? {} : { reference }) };
  }

  /** Only what the grammar allows becomes part of a path. */
  #checkName(tagOrDigest: string): string {
    return isTag(tagOrDigest) ? tagOrDigest : parseDigest(tagOrDigest);
  }

  #show(tagOrDigest: string): string {
    const reference = this.#reference;
    return familiarReference(
      isDigest(tagOrDigest) ? withDigest(reference, tagOrDigest) : withTag(reference, tagOrDigest),
    );
  }
}

function contentType(answer: HttpAnswer): string {
  return (answer.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

/** In dockerd's words. */
function schema1Error(reference: string): VarveError {
  return new VarveError(
    'invalid',
    'MANIFEST_INVALID',
    `Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. Suggest the author of ${reference} to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. More information at https://docs.docker.com/go/deprecated-image-specs/`,
    { subject: reference, hint: '`skopeo copy` converts it on the way to another registry or archive' },
  );
}

function isKnown(mediaType: string): boolean {
  return isManifestType(mediaType) || isIndexType(mediaType);
}

function readTags(body: Buffer, host: string): readonly string[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString());
  } catch (error) {
    throw new VarveError('unavailable', 'REGISTRY_BROKEN', `${host} sent a list of tags that is not JSON`, {
      subject: host,
      cause: error,
    });
  }
  const tags = (parsed as { readonly tags?: unknown } | null)?.tags ?? [];
  return Array.isArray(tags)
    ? tags.filter((tag): tag is string => typeof tag === 'string' && isTag(tag))
    : [];
}

/** The `next` of a Link header (RFC 8288). */
function nextPage(answer: HttpAnswer): URL | undefined {
  const match = /<([^<>]*)>\s*;[^,]*\brel="?next"?/.exec((answer.header('link') ?? '').slice(0, 8192));
  return match?.[1] === undefined ? undefined : (URL.parse(match[1], answer.url.href) ?? undefined);
}
