import assert from 'node:assert/strict';
import { randomInt, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { type Descriptor, type Digest, digestOf, mediaTypes } from '../../../src/oci/index.ts';
import { callControl } from '../../../src/registry/control/index.ts';
import { type Answer, encode, httpCall, imageManifest } from '../../../src/registry/testing/index.ts';

interface Image {
  readonly repository: string;
  readonly digest: Digest;
  readonly blobs: readonly Digest[];
}

/** A request ended with its node. */
class NodeIsGone extends Error {}

/** A push took longer than the grace. */
class TooSlow extends Error {}

/**
 * A client that pushes, pulls and deletes through whichever node, and believes what it is told: what a HEAD says is
 * here it does not push, and what was answered with 201 it expects to be there. Anything else is an assertion.
 */
export class SoakClient {
  /** What was pushed and not deleted. */
  readonly kept = new Map<Digest, Image>();
  pushed = 0;
  /** Images that came back whole. */
  pulled = 0;
  deleted = 0;
  readonly #nodes: () => readonly string[];
  readonly #repositories: readonly string[];
  readonly #graceMs: number;

  /** @param graceMs of the collection: only what is pushed within it has a promise. */
  constructor(nodes: () => readonly string[], repositories: readonly string[], graceMs: number) {
    this.#nodes = nodes;
    this.#graceMs = graceMs;
    this.#repositories = repositories;
  }

  /** Works until `deadline` (milliseconds since 1970). */
  async run(deadline: number): Promise<void> {
    // On a machine that is busy with other things, at least once each.
    while (Date.now() < deadline || this.deleted === 0) {
      try {
        await this.#round();
      } catch (error) {
        if (!(error instanceof NodeIsGone || error instanceof TooSlow)) throw error;
      }
    }
  }

  /** Pulls what has to be there. */
  async pullKept(): Promise<void> {
    for (const image of this.kept.values()) await this.#pull(image);
  }

  async #round(): Promise<void> {
    const repository = pick(this.#repositories);
    const image = await this.#push(repository);
    await this.#pull(image);
    if (this.kept.size > 2) await this.#delete(pick([...this.kept.values()]));
  }

  async #push(repository: string): Promise<Image> {
    const startedAt = performance.now();
    const config = await this.#pushBlob(repository, encode({ unique: randomUUID() }), mediaTypes.ociConfig);
    // Of a few that all clients push again and again, while others lose their last need.
    const layers = [
      await this.#pushBlob(repository, Buffer.from(`shared ${randomInt(12)}`)),
      await this.#pushBlob(repository, Buffer.from(`shared ${randomInt(12)} `.repeat(4000))),
    ];
    const unique = layers.filter(
      ({ digest }, index) => layers.findIndex((item) => item.digest === digest) === index,
    );
    const bytes = encode(imageManifest(config, unique));
    const image = {
      repository,
      digest: digestOf(bytes),
      blobs: [config, ...unique].map(({ digest }) => digest),
    };
    const headers = { 'Content-Type': mediaTypes.ociManifest };
    const put = { body: bytes, headers };
    const answer = await this.#ask('PUT', `/v2/${repository}/manifests/${image.digest}`, [201, 400], put);
    if (answer.status === 400) {
      const what = `${answer.body.toString()} after ${performance.now() - startedAt} ms`;
      assert.ok(performance.now() - startedAt > this.#graceMs * 0.8, what);
      throw new TooSlow(what);
    }
    this.kept.set(image.digest, image);
    this.pushed++;
    return image;
  }

  async #pushBlob(
    repository: string,
    bytes: Buffer,
    mediaType: string = mediaTypes.ociLayer,
  ): Promise<Descriptor> {
    const digest = digestOf(bytes);
    const descriptor = { mediaType, digest, size: bytes.length };
    const head = await this.#ask('HEAD', `/v2/${repository}/blobs/${digest}`, [200, 404]);
    if (head.status === 200) return descriptor;
    const uploads = `/v2/${repository}/blobs/uploads/`;
    const way = randomInt(3);
    if (way === 0) {
      await this.#ask('POST', `${uploads}?digest=${digest}`, [201], { body: bytes });
      return descriptor;
    }
    if (way === 1) {
      const mounted = await this.#ask('POST', `${uploads}?mount=${digest}`, [201, 202]);
      if (mounted.status === 201) return descriptor;
    }
    const path = String((await this.#ask('POST', uploads, [202])).headers.location);
    await this.#ask('PATCH', path, [202], { body: bytes });
    await this.#ask('PUT', `${path}?digest=${digest}`, [201]);
    return descriptor;
  }

  async #pull({ repository, digest, blobs }: Image): Promise<void> {
    const manifest = await this.#ask('GET', `/v2/${repository}/manifests/${digest}`, [200]);
    assert.equal(digestOf(manifest.body), digest);
    for (const blob of blobs) {
      const { body } = await this.#ask('GET', `/v2/${repository}/blobs/${blob}`, [200]);
      assert.equal(digestOf(body), blob);
    }
    this.pulled++;
  }

  async #delete({ repository, digest }: Image): Promise<void> {
    // Whatever comes of the request, the image is not counted upon.
    this.kept.delete(digest);
    const path = `/v2/${repository}/manifests/${digest}`;
    await this.#ask('DELETE', path, [202]);
    await this.#ask('GET', path, [404]);
    this.deleted++;
  }

  async #ask(
    method: string,
    path: string,
    statuses: readonly number[],
    options: Parameters<typeof httpCall>[3] = {},
  ): Promise<Answer> {
    const node = pick(this.#nodes());
    let answer: Answer;
    try {
      answer = await httpCall(node, method, path, options);
    } catch (cause) {
      if (this.#nodes().includes(node)) throw new Error(`${method} ${node}${path}`, { cause });
      throw new NodeIsGone(node, { cause });
    }
    const what = `${method} ${node}${path}: ${answer.status} ${answer.body.subarray(0, 500).toString()}`;
    assert.ok(statuses.includes(answer.status), what);
    return answer;
  }
}

interface Collected {
  readonly manifests: number;
  readonly links: number;
  readonly blobs: readonly string[];
}

/** Collections of one node, one after the other, every fifth a full one. */
export class SoakCollector {
  collections = 0;
  removed = 0;
  readonly #socket: string;
  readonly #graceMs: number;

  /** @param root the folder of the node's control socket */
  constructor(root: string, graceMs: number) {
    this.#socket = join(root, 'control.sock');
    this.#graceMs = graceMs;
  }

  /** Until `isOver`, which is asked between them. */
  async run(isOver: () => boolean): Promise<void> {
    while (!isOver()) await this.collect(this.collections % 5 === 4);
  }

  async collect(full: boolean): Promise<void> {
    const query = { grace: `${this.#graceMs}ms`, ...(full ? { full: 'true' } : {}) };
    for await (const item of callControl(this.#socket, '/collect', query)) {
      if (!('done' in item)) continue;
      const { manifests, links, blobs } = item.done as Collected;
      this.removed += manifests + links + blobs.length;
      this.collections++;
    }
  }
}

/** What clients and collectors did, for the test's report. */
export function soakCounts(clients: readonly SoakClient[], collectors: readonly SoakCollector[]): string {
  const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
  return [
    `${sum(clients.map(({ pushed }) => pushed))} images pushed`,
    `${sum(clients.map(({ pulled }) => pulled))} pulled`,
    `${sum(clients.map(({ deleted }) => deleted))} deleted`,
    `${sum(collectors.map(({ removed }) => removed))} records and blobs collected`,
    `in ${sum(collectors.map(({ collections }) => collections))} collections`,
  ].join(', ');
}

function pick<T>(items: readonly T[]): T {
  const item = items[randomInt(items.length)];
  assert.ok(item !== undefined);
  return item;
}
