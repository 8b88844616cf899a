import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { mapLimit } from '../../../base/index.ts';
import { type Digest, digestOf } from '../../../oci/index.ts';
import type { RegistryStorage, WriteSession } from '../types.ts';

/**
 * What every backend must do. `open` gives an empty storage, or with `again` the same one as if the server had been
 * restarted. A backend that lists in pages is opened with pages of 50.
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
  'shows to who reads beside the writer what was appended, as it comes': async (storage) => {
    const bytes = randomBytes(12_000_003);
    const digest = digestOf(bytes);
    const session = await storage.create(randomUUID());
    const gate = Promise.withResolvers<void>();
    const cut = 10_000_001;
    const append = session.append(
      (async function* () {
        yield* chunksOf(bytes.subarray(0, cut), 65_536);
        await gate.promise;
        yield* chunksOf(bytes.subarray(cut), 65_536);
      })(),
    );
    const reader = async (start: number): Promise<Buffer> => {
      const read: Uint8Array[] = [];
      let position = start;
      for await (const chunk of session.follow?.(start) ?? []) {
        read.push(chunk);
        position += chunk.length;
        if (position === cut) reached++;
        if (reached === 2) gate.resolve();
      }
      return Buffer.concat(read);
    };
    let reached = 0;
    const readers = [reader(0), reader(9_999_999)];
    await append;
    await session.commit(digest);
    const [whole, end] = await Promise.all(readers);
    assert.ok(whole && end);
    assert.ok(whole.length >= cut && end.length >= 2);
    assert.ok(bytes.subarray(0, whole.length).equals(whole));
    assert.ok(bytes.subarray(9_999_999, 9_999_999 + end.length).equals(end));
    assert.ok(bytes.equals(await all(await storage.read(digest))));
  },
  'ends the reading beside a writer whose upload is dropped': async (storage) => {
    const session = await storage.create(randomUUID());
    await session.append(chunksOf(Buffer.from('abc'), 3));
    const reader = session.follow?.(0)[Symbol.asyncIterator]();
    assert.equal(Buffer.from((await reader?.next())?.value ?? '').toString(), 'abc');
    const next = reader?.next();
    await session.abort();
    assert.equal((await next)?.done, true);
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
    // A backend may keep nothing of an upload that nobody can come back to.
    for (const upload of await list(storage.uploads())) {
      assert.deepEqual([upload.id, upload.resumable], [noteless, false]);
    }
    await storage.abandon(noteless);
    assert.deepEqual(await list(storage.uploads()), []);
  },
  'lists uploads with their last write': async (storage) => {
    const before = Date.now() - 1000;
    const session = await storage.create(randomUUID(), 'note');
    await session.append(chunksOf(Buffer.from('x'), 1));
    await session.close();
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
  'takes a blob of 20 MB in pieces of all sizes': async (storage, again) => {
    const bytes = randomBytes(20_000_003);
    const id = randomUUID();
    let session: WriteSession | undefined = await storage.create(id, 'note');
    const cuts = [0, 3, 70_000, 9_000_000, 9_000_001, 9_500_000, 20_000_000, 20_000_003];
    for (const [index, end] of cuts.slice(1).entries()) {
      await session?.append(chunksOf(bytes.subarray(cuts[index], end), 65_536));
      await session?.close();
      session = await (index === 3 ? await again() : storage).resume(id);
      assert.equal(session?.offset, end);
    }
    assert.ok(session);
    assert.ok(bytes.equals(await all(session.read())));
    await session.commit(digestOf(bytes));
    assert.ok(bytes.equals(await all(await storage.read(digestOf(bytes)))));
    assert.deepEqual(
      await all(await storage.read(digestOf(bytes), { start: 8_999_990, end: 9_000_010 })),
      bytes.subarray(8_999_990, 9_000_010),
    );
    assert.equal((await storage.stat(digestOf(bytes)))?.size, bytes.length);
    assert.equal((await list(storage.list()))[0]?.size, bytes.length);
    assert.deepEqual(await list(storage.uploads()), []);
    assert.equal(await storage.delete(digestOf(bytes)), true);
    assert.equal(await storage.stat(digestOf(bytes)), undefined);
  },
  'commits one blob from two uploads at once': async (storage, again) => {
    const bytes = randomBytes(9_000_000);
    const storages = [storage, await again()];
    const sessions = await Promise.all(storages.map((one) => one.create(randomUUID(), 'note')));
    await Promise.all(sessions.map((session) => session.append(chunksOf(bytes, 65_536))));
    await Promise.all(sessions.map((session) => session.commit(digestOf(bytes))));
    assert.ok(bytes.equals(await all(await storage.read(digestOf(bytes)))));
    assert.deepEqual(await list(storage.uploads()), []);
  },
  'lets a reader go early and as often as one likes': async (storage) => {
    const bytes = randomBytes(3_000_000);
    const digest = await put(storage, bytes);
    for (let round = 0; round < 50; round++) {
      const reader = await storage.read(digest, { start: round });
      for await (const chunk of reader) {
        assert.ok((chunk as Buffer).equals(bytes.subarray(round, round + (chunk as Buffer).length)));
        break;
      }
      if (!reader.closed) await new Promise((resolve) => reader.once('close', resolve));
    }
    assert.ok(bytes.equals(await all(await storage.read(digest))));
  },
  'drops one upload and not another whose id begins alike': async (storage) => {
    for (const id of ['upload', 'upload-2', 'upload2']) {
      const session = await storage.create(id, 'note');
      await session.append(chunksOf(Buffer.from(id), 1));
      await session.close();
    }
    await storage.abandon('upload');
    assert.deepEqual((await list(storage.uploads())).map(({ id }) => id).sort(), ['upload-2', 'upload2']);
    const session = await storage.resume('upload2');
    assert.equal(session && (await all(session.read())).toString(), 'upload2');
    for (const id of ['upload-2', 'upload2']) await storage.abandon(id);
  },
  'lists more blobs than one page has': async (storage) => {
    const blobs = Array.from({ length: 130 }, (_, index) => Buffer.from(`blob ${index}`));
    await mapLimit(blobs, 32, (bytes) => put(storage, bytes));
    const found = await list(storage.list());
    assert.deepEqual(found.map(({ digest }) => digest).sort(), blobs.map((bytes) => digestOf(bytes)).sort());
  },
  'keeps records by name, whatever is in it, over a restart': async (storage, again) => {
    await storage.writeRecord('tag team/app v1', Buffer.from('one'));
    await storage.writeRecord('tag team/app v1', Buffer.from('two'));
    await storage.writeRecord('manifest a sha256:ü', randomBytes(100_000));
    await storage.writeRecord('gone', Buffer.from('x'));
    await storage.removeRecord('gone');
    await storage.removeRecord('never there');
    const found = await list((await again()).records());
    assert.deepEqual(
      found.map((bytes) => bytes.length).toSorted((a, b) => a - b),
      [3, 100_000],
    );
    assert.ok(found.some((bytes) => Buffer.from(bytes).toString() === 'two'));
    assert.deepEqual(await list(storage.list()), []);
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
