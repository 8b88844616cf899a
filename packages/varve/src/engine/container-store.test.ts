import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { randomId } from '../base/index.ts';
import type { Digest } from '../oci/index.ts';
import { State } from '../state/index.ts';
import { ContainerStore } from './container-store.ts';
import { completeHostConfig } from './host-config.ts';
import { mergeSettings } from './settings.ts';
import { now } from './time.ts';
import { type ContainerRecord, neverStarted } from './types.ts';

function record(name: string, id = randomId()): ContainerRecord {
  return {
    id,
    name,
    createdAt: now(),
    generation: 1,
    imageId: `sha256:${'0'.repeat(64)}` as Digest,
    platform: 'linux',
    config: mergeSettings({ Cmd: ['x'] }, {}, id),
    hostConfig: completeHostConfig({}),
    mounts: [],
    networks: {},
    ports: {},
    state: neverStarted,
    restartCount: 0,
    manuallyStopped: false,
    bootId: '',
  };
}

test('finds by id, name and unique prefix; the name wins', () => {
  using state = new State(':memory:');
  const store = new ContainerStore(state);
  const first = store.add(record('one', `abc${'1'.repeat(61)}`));
  const second = store.add(record('abc1', `abd${'2'.repeat(61)}`));
  assert.equal(store.resolve('/one'), first);
  assert.equal(store.resolve(first.id), first);
  assert.equal(store.resolve('abd'), second);
  assert.equal(store.resolve('abc1'), second);
  assert.throws(() => store.resolve('ab'), { message: 'multiple IDs found with provided prefix: ab' });
  assert.throws(() => store.resolve('none'), { message: 'No such container: none' });
});

test('holds a name while its container is made', () => {
  using state = new State(':memory:');
  const store = new ContainerStore(state);
  {
    using _held = store.reserve('web');
    assert.throws(() => store.reserve('web'), { kind: 'conflict' });
  }
  const container = store.add(record('web'));
  assert.throws(() => store.reserve('web'), new RegExp(`already in use by container "${container.id}"`));
  store.update(container, { name: 'other' });
  using _free = store.reserve('web');
});

test('records outlive the store, with their last state', () => {
  const folder = mkdtempSync(join(tmpdir(), 'varve-engine-'));
  try {
    using before = new State(join(folder, 'state.db'));
    const store = new ContainerStore(before);
    const kept = store.add(record('kept'));
    store.delete(store.add(record('gone')));
    store.updateState(kept, { status: 'running', pid: 7 });
    using after = new State(join(folder, 'state.db'));
    const [found, ...others] = new ContainerStore(after).list();
    assert.deepEqual(others, []);
    assert.equal(found?.state.pid, 7);
    assert.equal(found?.record.generation, 2);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
