import assert from 'node:assert/strict';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Digest, digestOf } from '../oci/index.ts';
import { State } from '../state/index.ts';
import { type ContentStoreOptions, type FileContentStore, openContentStore } from './index.ts';

interface Bench {
  readonly root: string;
  readonly store: FileContentStore;
  /** Opens the same root again, as a new process would. */
  readonly reopen: () => FileContentStore;
}

function bench(context: TestContext, options: Partial<ContentStoreOptions> = {}): Bench {
  const root = mkdtempSync('/var/tmp/varve-content-');
  const states: State[] = [];
  context.after(() => {
    for (const state of states) state.close();
    rmSync(root, { recursive: true });
  });
  const reopen = (): FileContentStore => {
    const state = new State(join(root, 'state.db'));
    states.push(state);
    return openContentStore({ root, state, grace: 0, ...options });
  };
  return { root, store: reopen(), reopen };
}

function blobFile(root: string, digest: Digest): string {
  return join(root, 'content', ...digest.split(':'));
}

async function text(stream: AsyncIterable<unknown>): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

test('keeps what is written under its digest', async (context) => {
  const { root, store } = bench(context);
  const blob = await store.write(Buffer.from('hello'));
  assert.deepEqual(blob, { digest: digestOf('hello'), size: 5 });
  assert.deepEqual(await store.write(Buffer.from('hello')), blob);
  assert.deepEqual(store.stat(blob.digest), blob);
  assert.equal(store.path(blob.digest), blobFile(root, blob.digest));
  assert.equal(String(await store.read(blob.digest)), 'hello');
  assert.equal(await text(store.open(blob.digest)), 'hello');
  assert.equal(await text(store.open(blob.digest, { start: 1, end: 3 })), 'el');
  assert.equal(await text(store.open(blob.digest, { start: 5 })), '');
  assert.deepEqual(await Array.fromAsync(store.list()), [blob]);
  const empty = await store.write(Buffer.alloc(0));
  assert.equal(await text(store.open(empty.digest)), '');
  assert.deepEqual(readdirSync(join(root, 'content/ingest')), []);
});

test('says what it does not have, and refuses wrong ranges and sizes', async (context) => {
  const { store } = bench(context);
  const { digest } = await store.write(Buffer.from('hello'));
  const none = digestOf('none');
  assert.equal(store.stat(none), undefined);
  assert.throws(() => store.path(none), { kind: 'not-found' });
  assert.throws(() => store.open(none), { kind: 'not-found', subject: none });
  await assert.rejects(store.read(none), { kind: 'not-found' });
  await assert.rejects(store.read(digest, 4), { kind: 'too-large' });
  for (const range of [{ start: -1 }, { end: 6 }, { start: 3, end: 2 }, { start: Number.NaN }]) {
    assert.throws(() => store.open(digest, range), { code: 'RANGE_INVALID' });
  }
});

test('ingests in pieces, and again after close', async (context) => {
  const { root, store } = bench(context);
  const data = Buffer.alloc(3_000_000, 'varve');
  const expected = { digest: digestOf(data), size: data.length };
  const first = await store.ingest('key', expected);
  await first.write(data.subarray(0, 10));
  await first.write(data.subarray(10, 1_500_001));
  assert.equal(first.offset, 1_500_001);
  await first.close();
  assert.equal(store.stat(expected.digest), undefined);
  const second = await store.ingest('key', expected);
  assert.equal(second.offset, 1_500_001);
  await second.write(data.subarray(second.offset));
  assert.deepEqual(await second.commit(), expected);
  assert.ok(data.equals(await store.read(expected.digest)));
  assert.deepEqual(readdirSync(join(root, 'content/ingest')), []);
});

test('goes on in a new process, which hashes what is there', async (context) => {
  const { store, reopen } = bench(context);
  const first = await store.ingest('key');
  await first.write(Buffer.from('hello '));
  await first.close();
  const second = await reopen().ingest('key');
  assert.equal(second.offset, 6);
  await second.write(Buffer.from('world'));
  assert.equal((await second.commit()).digest, digestOf('hello world'));
});

test('drops bytes that are not what was promised', async (context) => {
  const { root, store } = bench(context);
  const expected = { digest: digestOf('right'), size: 5 };
  const wrong = await store.ingest('key', expected);
  await wrong.write(Buffer.from('wrong'));
  await assert.rejects(wrong.commit(), {
    kind: 'data-loss',
    code: 'DIGEST_MISMATCH',
    subject: expected.digest,
  });
  const short = await store.ingest('key', expected);
  assert.equal(short.offset, 0);
  await short.write(Buffer.from('rig'));
  await assert.rejects(short.commit(), { code: 'SIZE_MISMATCH' });
  const long = await store.ingest('key', expected);
  await assert.rejects(long.write(Buffer.from('right and more')), { code: 'SIZE_MISMATCH' });
  await long.abort();
  assert.equal(store.stat(expected.digest), undefined);
  assert.deepEqual(readdirSync(join(root, 'content/ingest')), []);
  assert.deepEqual(readdirSync(join(root, 'content/sha256')), []);
});

test('starts again at 0 after truncate, or when the key stands for another blob', async (context) => {
  const { store } = bench(context);
  const first = await store.ingest('key', { digest: digestOf('aa') });
  await first.write(Buffer.from('x'));
  await first.truncate();
  assert.equal(first.offset, 0);
  await first.write(Buffer.from('a'));
  await first.close();
  const other = await store.ingest('key', { digest: digestOf('bb') });
  assert.equal(other.offset, 0);
  await other.write(Buffer.from('bb'));
  await other.commit();
});

test('stores sha512 blobs under their own folder', async (context) => {
  const { root, store } = bench(context);
  const digest = digestOf('hello', 'sha512');
  const known = await store.ingest('known', { digest });
  await known.write(Buffer.from('hello'));
  await known.commit();
  assert.equal(readFileSync(blobFile(root, digest), 'utf8'), 'hello');
  const late = await store.ingest('late');
  await late.write(Buffer.from('world'));
  assert.equal(
    (await late.commit({ digest: digestOf('world', 'sha512') })).digest,
    digestOf('world', 'sha512'),
  );
  assert.equal(String(await store.read(digest)), 'hello');
});

test('lets one writer at a time have a key', async (context) => {
  const { store } = bench(context);
  const order: string[] = [];
  const first = await store.ingest('key');
  const second = store.ingest('key').then(async (ingest) => {
    order.push(`second at ${ingest.offset}`);
    await ingest.abort();
  });
  const other = await store.ingest('other');
  await other.abort();
  await first.write(Buffer.from('abc'));
  order.push('first closes');
  await first.close();
  await second;
  assert.deepEqual(order, ['first closes', 'second at 3']);
});

test('lets a waiting writer give up, and the next one in', async (context) => {
  const { store } = bench(context);
  const controller = new AbortController();
  const first = await store.ingest('key');
  const second = store.ingest('key', {}, { signal: controller.signal });
  const third = store.ingest('key');
  controller.abort();
  await assert.rejects(second, { kind: 'cancelled' });
  await first.write(Buffer.from('abc'));
  await first.close();
  assert.equal((await third).offset, 3);
  await (await third).abort();
  await assert.rejects(store.ingest('key', {}, { signal: controller.signal }), { kind: 'cancelled' });
  await (await store.ingest('key')).abort();
});

test('two collections at a time count each blob once', async (context) => {
  const { store } = bench(context);
  await Promise.all(Array.from({ length: 150 }, (_, index) => store.write(Buffer.from(`${index}`))));
  const [first, second] = await Promise.all([store.collect([]), store.collect([])]);
  assert.equal(first.deleted.length + second.deleted.length, 150);
});

test('many writers of one blob make one blob', async (context) => {
  const { root, store } = bench(context);
  const data = Buffer.alloc(100_000, 7);
  const blobs = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      if (index % 2 === 0) return store.write(data);
      const ingest = await store.ingest(`key ${index}`);
      await ingest.write(data);
      return ingest.commit();
    }),
  );
  assert.equal(new Set(blobs.map(({ digest }) => digest)).size, 1);
  assert.equal(readdirSync(join(root, 'content/sha256')).length, 1);
});

test('adopts a file written at a temporary path, and no other', async (context) => {
  const { root, store } = bench(context);
  const path = store.temporaryPath();
  writeFileSync(path, 'hello');
  await assert.rejects(store.adopt(path, { digest: digestOf('hello'), size: 6 }), { code: 'SIZE_MISMATCH' });
  await store.adopt(path, { digest: digestOf('hello'), size: 5 });
  assert.equal(existsSync(path), false);
  assert.equal(String(await store.read(digestOf('hello'))), 'hello');
  const outside = join(root, 'outside');
  writeFileSync(outside, 'x');
  await assert.rejects(store.adopt(outside, { digest: digestOf('x'), size: 1 }), { code: 'FOREIGN_PATH' });
  const bad = { digest: 'sha256:../../outside' as Digest, size: 1 };
  await assert.rejects(store.adopt(store.temporaryPath(), bad), { code: 'DIGEST_INVALID' });
});

test('notices a flipped bit on reading, names the blob and takes it out of use', async (context) => {
  const { root, store } = bench(context);
  const data = Buffer.alloc(2_500_000, 'abc');
  const blob = await store.write(data);
  const flipped = Buffer.from(data);
  flipped.writeUInt8(flipped.readUInt8(2_400_000) ^ 1, 2_400_000);
  writeFileSync(blobFile(root, blob.digest), flipped);
  await assert.rejects(text(store.open(blob.digest)), {
    kind: 'data-loss',
    code: 'BLOB_CORRUPT',
    subject: blob.digest,
  });
  assert.equal(store.stat(blob.digest), undefined);
  // Writing it again repairs it.
  await store.write(data);
  assert.ok(data.equals(await store.read(blob.digest)));
  truncateSync(blobFile(root, blob.digest), 10);
  await assert.rejects(store.read(blob.digest), { code: 'BLOB_CORRUPT' });
  await store.write(data);
  rmSync(blobFile(root, blob.digest));
  await assert.rejects(store.read(blob.digest), { code: 'BLOB_CORRUPT' });
  assert.equal(store.stat(blob.digest), undefined);
});

test('checks every blob, and repairs on demand', async (context) => {
  const { root, store } = bench(context);
  const good = await store.write(Buffer.from('good'));
  const bad = await store.write(Buffer.from('bad'));
  const lost = await store.write(Buffer.from('lost'));
  writeFileSync(blobFile(root, bad.digest), 'bax');
  rmSync(blobFile(root, lost.digest));
  writeFileSync(blobFile(root, digestOf('stray')), 'stray');
  const report = await store.check();
  assert.deepEqual([report.blobs, report.bytes], [3, 4]);
  assert.deepEqual(
    new Map(report.problems.map(({ digest, problem }) => [digest, problem])),
    new Map([
      [bad.digest, 'corrupt'],
      [lost.digest, 'missing'],
      [digestOf('stray'), 'unrecorded'],
    ]),
  );
  await store.check({ repair: true });
  assert.deepEqual((await store.check()).problems, []);
  assert.deepEqual(
    new Set((await Array.fromAsync(store.list())).map(({ digest }) => digest)),
    new Set([good.digest, digestOf('stray')]),
  );
});

test('rebuilds its records from the files when the database is lost', async (context) => {
  const { root, store, reopen } = bench(context);
  const { digest } = await store.write(Buffer.from('hello'));
  writeFileSync(blobFile(root, digestOf('liar')), 'not the liar');
  for (const name of readdirSync(root)) if (name.startsWith('state.db')) rmSync(join(root, name));
  const again = reopen();
  assert.equal(String(await again.read(digest)), 'hello');
  assert.equal(again.stat(digestOf('liar')), undefined);
  assert.equal(existsSync(blobFile(root, digestOf('liar'))), false);
});

test('collects what nothing needs and counts the bytes', async (context) => {
  const { root, store } = bench(context, { ingestAge: -1000 });
  const kept = await store.write(Buffer.from('kept'));
  const leased = await store.write(Buffer.from('leased'));
  const free = await store.write(Buffer.from('free!'));
  const lease = store.lease();
  lease.add(leased.digest);
  const open = await store.ingest('open');
  const abandoned = await store.ingest('abandoned');
  await abandoned.write(Buffer.from('123'));
  await abandoned.close();
  assert.deepEqual(await store.collect([kept.digest]), { deleted: [free.digest], bytes: 5 + 3 });
  assert.equal(existsSync(blobFile(root, free.digest)), false);
  await open.write(Buffer.from('still works'));
  await open.commit();
  lease.release();
  const second = await store.collect([kept.digest]);
  assert.deepEqual(new Set(second.deleted), new Set([leased.digest, digestOf('still works')]));
  assert.equal(String(await store.read(kept.digest)), 'kept');
});

test('a file on its way in outlives the collection of all abandoned ingests', async (context) => {
  const { store } = bench(context);
  const path = store.temporaryPath();
  writeFileSync(path, 'hello');
  utimesSync(path, new Date(), new Date(Date.now() - 60_000));
  await store.collect([], { ingestAge: 0 });
  await store.adopt(path, { digest: digestOf('hello'), size: 5 });
  assert.equal(String(await store.read(digestOf('hello'))), 'hello');
});

test('does not collect what was written a moment ago', async (context) => {
  const { store } = bench(context, { grace: 60_000 });
  const { digest } = await store.write(Buffer.from('new'));
  assert.deepEqual(await store.collect([]), { deleted: [], bytes: 0 });
  assert.ok(store.stat(digest));
});

test('a blob leased during a collection outlives it, even when the lease is released before the sweep', async (context) => {
  const { store } = bench(context);
  const blobs = await Promise.all(
    Array.from({ length: 200 }, (_, index) => store.write(Buffer.from(`${index}`))),
  );
  const sorted = blobs.map(({ digest }) => digest).sort();
  const last = sorted.at(-1) as Digest;
  const collection = store.collect([]);
  // The first batch is gone, the sweep waits for its next turn.
  const lease = store.lease();
  lease.add(last);
  assert.ok(store.stat(last));
  lease.release();
  const { deleted } = await collection;
  assert.equal(deleted.length, 199);
  assert.ok(store.stat(last));
});

test('writers and a collector that loops lose nothing that was leased first', async (context) => {
  const { store } = bench(context);
  const roots = new Set<Digest>();
  const stop = new AbortController();
  const collector = (async () => {
    while (!stop.signal.aborted) await store.collect(roots);
  })();
  const writers = Array.from({ length: 4 }, async (_, writer) => {
    for (let round = 0; round < 25; round++) {
      using lease = store.lease();
      const data = Buffer.from(`blob ${(writer + round) % 10}`);
      lease.add(digestOf(data));
      await store.write(data);
      assert.equal(String(await store.read(digestOf(data))), String(data));
      if (round % 5 === 0) roots.add(digestOf(data));
    }
  });
  await Promise.all(writers);
  stop.abort();
  await collector;
  for (const digest of roots) assert.ok(store.stat(digest));
  assert.deepEqual((await store.check()).problems, []);
});
