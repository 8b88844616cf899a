import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { keepBackup } from './keep-backup.ts';
import { backupOf, openState } from './open-state.ts';
import { State } from './state.ts';

/** A folder with records of one row and a copy of them. */
async function records(): Promise<{ readonly folder: string; readonly path: string } & Disposable> {
  const folder = mkdtempSync('/var/tmp/varve-state-');
  const path = join(folder, 'state.db');
  const state = new State(path);
  state.migrate({ room: 'test', migrations: ['CREATE TABLE test_rows (id TEXT PRIMARY KEY) STRICT'] });
  state.prepare("INSERT INTO test_rows VALUES ('kept')").run();
  await state.backup(backupOf(path));
  state.close();
  return { folder, path, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

function rowsOf(state: State): number {
  return Number(state.prepare('SELECT count(*) AS count FROM test_rows').get()?.['count']);
}

test('whole records are opened as they are', async () => {
  using place = await records();
  const { state, lost } = openState(place.path, join(place.folder, 'quarantine'));
  assert.equal(lost, undefined);
  assert.equal(rowsOf(state), 1);
  state.close();
  assert.ok(!existsSync(join(place.folder, 'quarantine')));
});

for (const [what, damage, keeps] of [
  ['gone', (path: string) => rmSync(path), false],
  ['empty', (path: string) => truncateSync(path, 0), true],
  ['no database', (path: string) => writeFileSync(path, 'x'.repeat(9000)), true],
  ['cut in the middle', (path: string) => truncateSync(path, 8192), true],
] as const) {
  test(`records that are ${what} are moved away, and their copy stands in`, async () => {
    using place = await records();
    damage(place.path);
    const quarantine = join(place.folder, 'quarantine');
    const { state, lost } = openState(place.path, quarantine);
    assert.ok(lost?.backupFrom !== undefined && lost.reason !== '');
    assert.equal(rowsOf(state), 1);
    state.close();
    assert.equal(existsSync(quarantine) && readdirSync(quarantine).length === 1, keeps);
  });
}

test('without a usable copy they begin empty, and a new root is no loss', async () => {
  using place = await records();
  writeFileSync(place.path, 'no database');
  writeFileSync(backupOf(place.path), 'nor this');
  const { state, lost } = openState(place.path, join(place.folder, 'quarantine'));
  assert.equal(lost?.backupFrom, undefined);
  assert.ok(lost);
  state.close();
  const fresh = openState(join(place.folder, 'new/state.db'), join(place.folder, 'quarantine'));
  assert.equal(fresh.lost, undefined);
  fresh.state.close();
});

test('a file that cannot be opened for another reason is no damage', async () => {
  using place = await records();
  assert.throws(() => openState(place.folder, join(place.folder, 'quarantine')));
  assert.ok(existsSync(place.path));
});

test('a copy is made at the end when something changed', async () => {
  using place = await records();
  const state = new State(place.path);
  const failures: unknown[] = [];
  {
    await using _copies = keepBackup(state, place.path, (error) => failures.push(error));
    state.prepare("INSERT INTO test_rows VALUES ('late')").run();
  }
  state.close();
  assert.deepEqual(failures, []);
  const copy = new State(backupOf(place.path));
  assert.equal(rowsOf(copy), 2);
  copy.close();
});
