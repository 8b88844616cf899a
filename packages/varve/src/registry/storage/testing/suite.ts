import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { type Digest, digestOf } from '../../../oci/index.ts';
import type { RegistryStorage, WriteSession } from '../types.ts';

/**
 * What every backend must do. `open` gives an empty storage, or with `again` the same one as if the server had been
 * restarted.
 */
export interface StorageUnderTest {
  readonly name: string;
  open(t: TestContext): Promise<{ readonly storage: RegistryStorage; again(): Promise<RegistryStorage> }>;
}

async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void, void> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

async function all(stream: Readable | AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  // A session's reader may use its buffer again.
  for await (const chunk of stream) chunks.push(Buffer.from(chunk as Uint8Array));
  return Buffer.concat(chunks);
}

async function list<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

async function put(
  storage: RegistryStorage,
  bytes: Uint8Array,
  algorithm?: 'sha256' | 'sha512',
): Promise<Digest> {
  const digest = digestOf(bytes, algorithm);
  const session = await storage.create(randomUUID());
  await session.append(chunksOf(bytes, 65_536));
  await session.commit(digest);
  return digest;
}

type Case = (storage: RegistryStorage, again: () => Promise<RegistryStorage>) => Promise<void>;

const cases: Readonly<Record<string, Case>> = {
  'gives back what was written, for every size': async (storage) => {
    for (const size of [0, 1, 4096, 65_537, 3_000_000]) {
      const bytes = randomBytes(size);
      const digest = await put(storage, bytes);
      assert.deepEqual(await all(await storage.read(digest)), bytes);
      assert.equal((await storage.stat(digest))?.size, size);
    }
  },
  'keeps sha512 blobs beside sha256 ones': async (storage) => {
    const bytes = randomBytes(100);
    const digests = [await put(storage, bytes), await put(storage, bytes, 'sha512')];
    const found = await list(storage.list());
    assert.deepEqual(found.map((blob) => blob.digest).sort(), digests.sort());
  },
  'reads any range': async (storage) => {
    const bytes = randomBytes(10_000);
    const digest = await put(storage, bytes);
    for (const [start, end] of [
      [0, 1],
      [0, 10_000],
      [9999, 10_000],
      [5000, 5001],
      [123, 4567],
    ] as const) {
      assert.deepEqual(await all(await storage.read(digest, { start, end })), bytes.subarray(start, end));
    }
    assert.deepEqual(await all(await storage.read(digest, { start: 9000 })), bytes.subarray(9000));
  },
  'fails before the stream for a blob that is not there': async (storage) => {
    const digest = digestOf('nothing');
    await assert.rejects(storage.read(digest), { kind: 'not-found' });
    assert.equal(await storage.stat(digest), undefined);
    assert.equal(await storage.delete(digest), false);
  },
  'never takes a digest for a path': async (storage) => {
    for (const text of ['sha256:../../x', `sha256:${'/'.repeat(64)}`, 'sha256:', '../..']) {
      await assert.rejects(storage.stat(text as Digest), { code: 'DIGEST_INVALID' });
    }
    await assert.rejects(storage.create('../x', 'note'), { code: 'BLOB_UPLOAD_INVALID' });
    assert.equal(await storage.resume('../x'), undefined);
  },
  'shows nothing of a blob before its commit': async (storage) => {
    const bytes = randomBytes(1000);
    const session = await storage.create(randomUUID());
    await session.append(chunksOf(bytes, 100));
    assert.equal(await storage.stat(digestOf(bytes)), undefined);
    assert.deepEqual(await list(storage.list()), []);
    await session.abort();
  },
  'appends in many rounds, closed and resumed between them': async (storage, again) => {
    const bytes = randomBytes(300_000);
    const id = randomUUID();
    let session: WriteSession | undefined = await storage.create(id, 'the note');
    for (let round = 0; round < 3; round++) {
      assert.equal(session?.offset, round * 100_000);
      await session.append(chunksOf(bytes.subarray(round * 100_000, (round + 1) * 100_000), 32_768));
      await session.close();
      session = await (round === 1 ? await again() : storage).resume(id);
      assert.equal(session?.note, 'the note');
    }
    assert.ok(session);
    assert.deepEqual(await all(session.read()), bytes);
    await session.commit(digestOf(bytes));
    assert.deepEqual(await all(await storage.read(digestOf(bytes))), bytes);
    assert.equal(await storage.resume(id), undefined);
    assert.deepEqual(await list(storage.uploads()), []);
  },
  'keeps what came before the sender broke off': async (storage) => {
    const session = await storage.create(randomUUID(), 'note');
    const broken = async function* (): AsyncGenerator<Uint8Array, void, void> {
      yield Buffer.from('abc');
      throw new Error('gone');
    };
    await assert.rejects(session.append(broken()), { message: 'gone' });
    assert.equal(session.offset, 3);
    await session.append(chunksOf(Buffer.from('def'), 1));
    assert.equal((await all(session.read())).toString(), 'abcdef');
    await session.abort();
  },
  'commits an upload that nothing was appended to': async (storage) => {
    const session = await storage.create(randomUUID(), 'note');
    await session.commit(digestOf(''));
    assert.equal((await storage.stat(digestOf('')))?.size, 0);
  },
  'does not resume what was aborted, or has no note': async (storage) => {
    const [aborted, noteless] = [randomUUID(), randomUUID()];
    const first = await storage.create(aborted, 'note');
    await first.append(chunksOf(Buffer.from('x'), 1));
    await first.abort();
    const second = await storage.create(noteless);
    await second.append(chunksOf(Buffer.from('x'), 1));
    await second.close();
    assert.equal(await storage.resume(aborted), undefined);
    assert.equal(await storage.resume(noteless), undefined);
    assert.deepEqual(
      (await list(storage.uploads())).map((upload) => [upload.id, upload.resumable]),
      [[noteless, false]],
    );
    await storage.abandon(noteless);
    assert.deepEqual(await list(storage.uploads()), []);
  },
  'lists uploads with their last write': async (storage) => {
    const before = Date.now() - 1000;
    const session = await storage.create(randomUUID(), 'note');
    const [upload] = await list(storage.uploads());
    assert.equal(upload?.id, session.id);
    assert.equal(upload?.resumable, true);
    assert.ok((upload?.updatedAt ?? 0) > before);
    await session.abort();
  },
  'replaces a blob by the same bytes while it is read': async (storage) => {
    const bytes = randomBytes(2_000_000);
    const digest = await put(storage, bytes);
    const reader = await storage.read(digest);
    const [read] = await Promise.all([all(reader), put(storage, bytes)]);
    assert.deepEqual(read, bytes);
    assert.deepEqual(await all(await storage.read(digest)), bytes);
  },
  'lets a reader finish with a blob that is deleted': async (storage) => {
    const bytes = randomBytes(2_000_000);
    const digest = await put(storage, bytes);
    const reader = await storage.read(digest);
    assert.equal(await storage.delete(digest), true);
    assert.deepEqual(await all(reader), bytes);
    assert.equal(await storage.stat(digest), undefined);
  },
  'takes many uploads at once': async (storage) => {
    const blobs = Array.from({ length: 20 }, () => randomBytes(50_000));
    await Promise.all(blobs.map((bytes) => put(storage, bytes)));
    assert.deepEqual(
      (await list(storage.list())).map((blob) => blob.digest).sort(),
      blobs.map((bytes) => digestOf(bytes)).sort(),
    );
  },
  'keeps blobs over a restart': async (storage, again) => {
    const bytes = randomBytes(1000);
    const digest = await put(storage, bytes);
    assert.deepEqual(await all(await (await again()).read(digest)), bytes);
  },
};

/** Runs the suite over one backend. */
export function testStorage(backend: StorageUnderTest): void {
  for (const [name, run] of Object.entries(cases)) {
    test(`${backend.name}: ${name}`, async (t) => {
      const opened = await backend.open(t);
      await run(opened.storage, () => opened.again());
    });
  }
}
