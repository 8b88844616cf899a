import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Descriptor, type Digest, digestOf, type Manifest, mediaTypes } from '../../src/oci/index.ts';
import {
  type Answer,
  encode,
  httpCall,
  imageManifest,
  indexManifest,
} from '../../src/registry/testing/index.ts';

const repository = 'fault/app';
const manifests = `/v2/${repository}/manifests`;
const blobs = `/v2/${repository}/blobs`;

interface Pushed {
  readonly tag: string;
  readonly digest: Digest;
  readonly layer: Digest;
}

/** A client that remembers what a registry has confirmed, and what it asked for and got no answer to. */
export class FaultWitness {
  url = '';
  readonly #tags = new Map<string, Digest>();
  readonly #gone = new Set<string>();
  readonly #blobs = new Set<Digest>();

  /** A blob in chunks. */
  async uploadInChunks(): Promise<Descriptor> {
    const bytes = randomBytes(300_000);
    const path = String((await this.#ask('POST', `${blobs}/uploads/`, 202)).headers.location);
    await this.#ask('PATCH', path, 202, bytes.subarray(0, 100_000));
    await this.#ask('PATCH', path, 202, bytes.subarray(100_000));
    await this.#ask('PUT', `${path}?digest=${digestOf(bytes)}`, 201);
    return this.#confirmed(bytes);
  }

  /** A blob in one request. */
  async uploadAtOnce(content: Buffer = randomBytes(100_000)): Promise<Descriptor> {
    await this.#ask('POST', `${blobs}/uploads/?digest=${digestOf(content)}`, 201, content);
    return this.#confirmed(content);
  }

  /** The blobs of an image, and what is left to do: its manifest, and an index of it. */
  async image(): Promise<() => Promise<Pushed>> {
    const [config, layer] = [
      await this.uploadAtOnce(encode({ id: randomUUID() })),
      await this.uploadAtOnce(),
    ];
    const tag = `t-${randomUUID()}`;
    const bytes = encode(imageManifest(config, [layer]));
    return async () => {
      const digest = await this.#tag(tag, bytes, mediaTypes.ociManifest);
      const child = { mediaType: mediaTypes.ociManifest, digest, size: bytes.length };
      await this.#tag(`${tag}-index`, encode(indexManifest([child])), mediaTypes.ociIndex);
      return { tag, digest, layer: layer.digest };
    };
  }

  /** The index by its tag, its manifest, the image's manifest, and a layer. */
  async remove({ tag, digest, layer }: Pushed): Promise<void> {
    const index = this.#tags.get(`${tag}-index`);
    this.#tags.delete(tag);
    this.#tags.delete(`${tag}-index`);
    this.#blobs.delete(layer);
    const paths = [
      `${manifests}/${tag}-index`,
      `${manifests}/${index}`,
      `${manifests}/${digest}`,
      `${blobs}/${layer}`,
    ];
    for (const path of paths) {
      await this.#ask('DELETE', path, 202);
      this.#gone.add(path);
    }
  }

  /** What was confirmed is there, what is there is whole, what was deleted is gone. */
  async check(): Promise<void> {
    for (const [tag, digest] of this.#tags) {
      const { headers } = await this.#ask('HEAD', `${manifests}/${tag}`, 200);
      assert.equal(headers['docker-content-digest'], digest, tag);
    }
    for (const digest of this.#blobs) await this.#ask('HEAD', `${blobs}/${digest}`, 200);
    for (const path of this.#gone) await this.#ask('HEAD', path, 404);
    const { tags } = (await this.#ask('GET', `/v2/${repository}/tags/list`, 200)).json() as {
      tags: string[];
    };
    for (const tag of tags) await this.#isWhole(tag);
  }

  /** Blobs that no manifest names lose their place at a collection. */
  forgetLooseBlobs(): void {
    this.#blobs.clear();
  }

  async #isWhole(reference: string): Promise<void> {
    const { body } = await this.#ask('GET', `${manifests}/${reference}`, 200);
    const json = JSON.parse(body.toString()) as Partial<Manifest> & {
      readonly manifests?: readonly Descriptor[];
    };
    for (const { digest } of json.manifests ?? []) await this.#isWhole(digest);
    for (const { digest } of json.config ? [json.config, ...(json.layers ?? [])] : []) {
      assert.equal(digestOf((await this.#ask('GET', `${blobs}/${digest}`, 200)).body), digest, reference);
    }
  }

  #confirmed(bytes: Buffer): Descriptor {
    const digest = digestOf(bytes);
    this.#blobs.add(digest);
    return { mediaType: mediaTypes.ociLayer, digest, size: bytes.length };
  }

  async #tag(tag: string, bytes: Buffer, mediaType: string): Promise<Digest> {
    await this.#ask('PUT', `${manifests}/${tag}`, 201, bytes, { 'Content-Type': mediaType });
    this.#tags.set(tag, digestOf(bytes));
    return digestOf(bytes);
  }

  async #ask(
    method: string,
    path: string,
    status: number,
    body?: Uint8Array,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const answer = await httpCall(this.url, method, path, { headers, ...(body ? { body } : {}) });
    assert.equal(answer.status, status, `${method} ${path}: ${answer.body.subarray(0, 500).toString()}`);
    return answer;
  }
}

/** What each repository is billed for is the sum of what it has. */
export function checkUsage(root: string): void {
  using database = new DatabaseSync(join(root, 'registry.db'), { readOnly: true });
  const rows = database
    .prepare(
      `SELECT name, used_bytes AS billed,
         (SELECT coalesce(sum(b.size), 0) FROM registry_blob_links l JOIN registry_blobs b ON b.id = l.blob_id
          WHERE l.repository_id = r.id) +
         (SELECT coalesce(sum(m.size), 0) FROM registry_manifests m WHERE m.repository_id = r.id) AS held
       FROM registry_repositories r`,
    )
    .all();
  assert.ok(rows.length > 0);
  for (const { name, billed, held } of rows) assert.equal(billed, held, String(name));
}

/** Blobs in storage, and those of them that no record knows: a crash came between. */
export function storedBlobs(root: string): {
  readonly stored: readonly string[];
  readonly unknown: readonly string[];
} {
  using database = new DatabaseSync(join(root, 'registry.db'), { readOnly: true });
  const known = new Set(
    database
      .prepare('SELECT digest FROM registry_blobs WHERE size IS NOT NULL')
      .all()
      .map(({ digest }) => digest),
  );
  const stored = readdirSync(join(root, 'blobs'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name, parentPath }) => `${parentPath.split('/').at(-2)}:${name}`);
  return { stored, unknown: stored.filter((digest) => !known.has(digest)) };
}
