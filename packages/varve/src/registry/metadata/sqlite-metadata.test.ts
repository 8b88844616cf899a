import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { type Digest, digestOf } from '../../oci/index.ts';
import { State } from '../../state/index.ts';
import { GroupCommit } from './group-commit.ts';
import { SqliteMetadata } from './index.ts';
import { testManifest as manifest, testMetadata } from './testing/suite.ts';

async function count<T>(
  step: (cursor: readonly number[] | undefined) => Promise<{ found: T; next: readonly number[] | undefined }>,
): Promise<T[]> {
  const found: T[] = [];
  let cursor: readonly number[] | undefined;
  do {
    const result = await step(cursor);
    found.push(result.found);
    cursor = result.next;
  } while (cursor);
  return found;
}

test('shares a commit between writes, and one that fails does not take the others along', async () => {
  using state = new State(':memory:');
  state.migrate({ room: 'demo', migrations: ['CREATE TABLE demo (name TEXT PRIMARY KEY) STRICT'] });
  const commits = new GroupCommit(state);
  const insert = (name: string): Promise<unknown> =>
    commits.write(() => state.prepare('INSERT INTO demo VALUES (?)').run(name));
  const results = await Promise.allSettled([insert('a'), insert('a'), insert('b')]);
  assert.deepEqual(
    results.map((result) => result.status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.equal(state.prepare('SELECT count(*) AS n FROM demo').get()?.['n'], 2);
});

test('undoes all of a write that fails half-way', async () => {
  using state = new State(':memory:');
  state.migrate({ room: 'demo', migrations: ['CREATE TABLE demo (name TEXT PRIMARY KEY) STRICT'] });
  const commits = new GroupCommit(state);
  await assert.rejects(
    commits.write(() => {
      state.prepare('INSERT INTO demo VALUES (?)').run('half');
      throw new Error('no');
    }),
    { message: 'no' },
  );
  assert.equal(state.prepare('SELECT count(*) AS n FROM demo').get()?.['n'], 0);
});

test('confirms a write when it is durable, and joins those that come while the disk is busy', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'varve-group-commit-'));
  try {
    using state = new State(join(folder, 'state.db'));
    state.migrate({ room: 'demo', migrations: ['CREATE TABLE demo (name TEXT PRIMARY KEY) STRICT'] });
    const commits = new GroupCommit(state);
    const syncs: PromiseWithResolvers<void>[] = [];
    state.sync = () => {
      const sync = Promise.withResolvers<void>();
      syncs.push(sync);
      return sync.promise;
    };
    const confirmed: string[] = [];
    const insert = async (name: string): Promise<void> => {
      await commits.write(() => state.prepare('INSERT INTO demo VALUES (?)').run(name));
      confirmed.push(name);
    };
    const writes = [insert('a')];
    await turn();
    await turn();
    for (const name of ['b', 'c']) {
      writes.push(insert(name));
      await turn();
      await turn();
    }
    assert.equal(state.prepare('SELECT count(*) AS n FROM demo').get()?.['n'], 3, 'all are seen');
    assert.deepEqual([syncs.length, confirmed], [1, []]);
    syncs[0]?.resolve();
    await turn();
    assert.deepEqual([syncs.length, confirmed], [2, ['a']]);
    syncs[1]?.resolve();
    await Promise.all(writes);
    assert.deepEqual([syncs.length, confirmed], [2, ['a', 'b', 'c']]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('takes no more writes after the disk failed to keep one', async () => {
  using state = new State(':memory:');
  state.migrate({ room: 'demo', migrations: ['CREATE TABLE demo (name TEXT PRIMARY KEY) STRICT'] });
  const commits = new GroupCommit(state);
  state.sync = () => Promise.reject(new Error('EIO'));
  const insert = (name: string): Promise<unknown> =>
    commits.write(() => state.prepare('INSERT INTO demo VALUES (?)').run(name));
  await assert.rejects(insert('a'), { message: 'EIO' });
  await assert.rejects(insert('b'), { message: 'EIO' });
  assert.equal(state.prepare("SELECT count(*) AS n FROM demo WHERE name = 'b'").get()?.['n'], 0);
});

test('makes no repository of a push that is refused', async () => {
  const metadata = new SqliteMetadata(':memory:');
  await assert.rejects(
    metadata.putManifest('a', manifest('m', { blobs: [{ digest: digestOf('x') }] }), ['v1']),
    {
      code: 'MANIFEST_BLOB_UNKNOWN',
    },
  );
  assert.equal(await metadata.linkBlob('b', digestOf('x')), false);
  assert.deepEqual(await metadata.repositories({ limit: 10 }), []);
  metadata.close();
});

test('sweeps in steps of a bounded size, whatever it finds in them', async () => {
  const metadata = new SqliteMetadata(':memory:');
  const needed: Digest[] = [];
  for (let number = 0; number < 25; number++) {
    const digest = digestOf(`blob ${number}`);
    await metadata.addBlob('a', { digest, size: 1 });
    if (number % 5 > 0) needed.push(digest);
  }
  await metadata.putManifest('a', manifest('m', { blobs: needed.map((digest) => ({ digest, size: 1 })) }), [
    'v1',
  ]);
  const later = Date.now() + 1;
  const review = async (kind: 'link' | 'blob') => {
    const steps = await count(async (cursor) =>
      metadata.garbage.review(kind, later, 10, () => false, cursor),
    );
    return steps.map((found) => found.map(({ digest }) => digest));
  };
  assert.deepEqual(
    (await review('link')).map((found) => found.length),
    [2, 2, 1],
  );
  const blobs = await review('blob');
  assert.equal(blobs.flat().length, 5);
  for (const digest of blobs.flat()) assert.equal(await metadata.garbage.forgetBlob(digest), true);
  assert.equal(await metadata.garbage.forgetBlob(needed[0] ?? digestOf('')), false);
  assert.deepEqual([await review('link'), await review('blob')], [[[]], [[]]]);
  metadata.close();
});

test('keeps of a blob that is gone what a manifest still says of it', async () => {
  const metadata = new SqliteMetadata(':memory:');
  const digest = digestOf('foreign');
  await metadata.putManifest('a', manifest('m', { optionalBlobs: [digest] }), ['v1']);
  assert.equal(await metadata.blob('a', digest), undefined);
  await metadata.addBlob('a', { digest, size: 7 });
  assert.deepEqual(await metadata.removeBlob('a', digest), 'referenced');
  const later = Date.now() + 1;
  assert.deepEqual((await metadata.garbage.review('link', later, 10, () => false)).found, []);
  assert.equal((await metadata.blob('a', digest))?.size, 7);
  metadata.close();
});

test('answers every request from an index', async () => {
  const state = new State(':memory:');
  const texts = new Set<string>();
  const prepare = state.prepare.bind(state);
  state.prepare = (sql) => {
    texts.add(sql);
    return prepare(sql);
  };
  const metadata = new SqliteMetadata(state);
  const blob = { digest: digestOf('b'), size: 1 };
  await metadata.addBlob('a', blob);
  await metadata.putManifest('a', manifest('m', { blobs: [blob], subject: digestOf('s') }), ['v1']);
  await metadata.linkBlob('c', blob.digest);
  await metadata.manifestByTag('a', 'v1');
  await metadata.manifestByDigest('a', digestOf('m'));
  await metadata.manifestContent('a', digestOf('m'));
  await metadata.tags('a', { limit: 10 });
  await metadata.repositories({ limit: 10 });
  await metadata.referrers('a', digestOf('s'), { limit: 10, artifactType: 'x/y' });
  await metadata.repositoriesOfBlob(blob.digest, 10);
  for (const kind of ['manifest', 'link', 'blob'] as const) {
    await metadata.garbage.underReview(kind, Date.now() + 1, 10);
    await metadata.garbage.review(kind, 0, 10, () => false);
  }
  for (let cursor: readonly number[] | undefined = [0, 0, 0]; cursor; ) {
    cursor = (await metadata.garbage.reviewAll(10, cursor)).next;
  }
  await metadata.tagRecords('a', { limit: 10 });
  await metadata.recordPulls([
    { repository: 'a', reference: { tag: 'v1' }, at: 1 },
    { repository: 'a', reference: { digest: digestOf('m') }, at: 2 },
  ]);
  await metadata.usedBytes('repository', 'a');
  await metadata.usedBytes('namespace', 'a');
  await metadata.usages({ limit: 10 });
  await metadata.scrubbing.blobs({ limit: 10 });
  await metadata.scrubbing.setDamaged(blob.digest, false);
  await metadata.scrubbing.concerned(blob.digest);
  await metadata.garbage.knowsBlob(blob.digest);
  await metadata.removeTag('a', 'v1');
  await metadata.removeManifest('a', digestOf('m'));
  await metadata.removeBlob('a', blob.digest);
  await metadata.removeBlob('c', blob.digest);
  await metadata.garbage.forgetBlob(blob.digest);
  for (const sql of texts) {
    if (!/^\s*(SELECT|DELETE|UPDATE)/.test(sql)) continue;
    const plan = prepare(`EXPLAIN QUERY PLAN ${sql}`)
      .all()
      .map((row) => String(row['detail']));
    for (const step of plan) {
      // A sweep reads a page of a table in the order of its key; a list of names, of an index. What a subquery found is
      // what is wanted, and its own steps are looked at, too.
      assert.ok(
        !step.startsWith('SCAN') || /USING (COVERING )?INDEX|^SCAN \(subquery/.test(step),
        `${sql}\n${plan.join('\n')}`,
      );
      assert.ok(!/TEMP B-TREE/.test(step), `${sql}\n${plan.join('\n')}`);
    }
  }
  assert.ok(texts.size > 20);
  metadata.close();
});

describe('records in SQLite', () => {
  testMetadata(() => Promise.resolve(new SqliteMetadata(':memory:')));
});
