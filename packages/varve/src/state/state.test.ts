import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { State } from './index.ts';

const one = 'CREATE TABLE demo_items (name TEXT PRIMARY KEY) STRICT';
const two = 'ALTER TABLE demo_items ADD COLUMN size INTEGER NOT NULL DEFAULT 0';

test('migrates a room step by step and keeps its records', () => {
  const folder = mkdtempSync(join(tmpdir(), 'varve-state-'));
  try {
    using first = new State(join(folder, 'state.db'));
    first.migrate({ room: 'demo', migrations: [one] });
    first.prepare('INSERT INTO demo_items (name) VALUES (?)').run('kept');
    first.close();
    using second = new State(join(folder, 'state.db'));
    second.migrate({ room: 'demo', migrations: [one, two] });
    assert.deepEqual({ ...second.prepare('SELECT * FROM demo_items').get() }, { name: 'kept', size: 0 });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('refuses records that a newer version wrote', () => {
  using state = new State(':memory:');
  state.migrate({ room: 'demo', migrations: [one, two] });
  assert.throws(() => state.migrate({ room: 'demo', migrations: [one] }), { code: 'STATE_TOO_NEW' });
});

test('rolls back a failed transaction, nested parts included', () => {
  using state = new State(':memory:');
  state.migrate({ room: 'demo', migrations: [one] });
  assert.throws(() =>
    state.transaction(() => {
      state.transaction(() => state.prepare('INSERT INTO demo_items VALUES (?)').run('a'));
      throw new Error('no');
    }),
  );
  assert.equal(state.prepare('SELECT count(*) AS n FROM demo_items').get()?.['n'], 0);
});

test('a relaxed commit is seen at once and by the next process', () => {
  const folder = mkdtempSync(join(tmpdir(), 'varve-state-'));
  try {
    using first = new State(join(folder, 'state.db'));
    first.migrate({ room: 'demo', migrations: [one] });
    first.transaction(() => first.prepare('INSERT INTO demo_items (name) VALUES (?)').run('relaxed'), {
      durable: false,
    });
    assert.equal(first.prepare('PRAGMA synchronous').get()?.['synchronous'], 2, 'full sync is back');
    using second = new State(join(folder, 'state.db'));
    assert.equal(second.prepare('SELECT name FROM demo_items').get()?.['name'], 'relaxed');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('relaxed commits are synced beside other work, also while the store is closed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'varve-state-'));
  const descriptors = (): string[] =>
    readdirSync('/proc/self/fd')
      .map(target)
      .filter((path) => path.startsWith(folder));
  try {
    const state = new State(join(folder, 'state.db'));
    state.migrate({ room: 'demo', migrations: [one] });
    state.transaction(() => state.prepare('INSERT INTO demo_items (name) VALUES (?)').run('a'), {
      durable: false,
    });
    await state.sync();
    const last = state.sync();
    state.close();
    await last;
    assert.deepEqual(descriptors(), []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a flush brings relaxed commits into the file itself', () => {
  const folder = mkdtempSync(join(tmpdir(), 'varve-state-'));
  try {
    using first = new State(join(folder, 'state.db'));
    first.migrate({ room: 'demo', migrations: [one] });
    const insert = first.prepare('INSERT INTO demo_items (name) VALUES (?)');
    first.transaction(() => insert.run('relaxed'), { durable: false });
    first.flush();
    // Without the WAL, as if nothing of it had reached the disk.
    copyFileSync(join(folder, 'state.db'), join(folder, 'copy.db'));
    using copy = new State(join(folder, 'copy.db'));
    assert.equal(copy.prepare('SELECT name FROM demo_items').get()?.['name'], 'relaxed');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** Where a descriptor of this process leads; nowhere when it was closed meanwhile. */
function target(descriptor: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return '';
  }
}
