import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandLine, mergeEnvironment, mergeSettings } from './settings.ts';

const image = {
  Env: ['PATH=/bin', 'A=image'],
  Entrypoint: ['/entry'],
  Cmd: ['default'],
  Labels: { from: 'image', both: 'image' },
  ExposedPorts: { '80/tcp': {} },
  User: 'app',
  WorkingDir: '/app',
  Healthcheck: { Test: ['CMD', 'ok'], Interval: 5e9, Retries: 2 },
};
const id = 'f'.repeat(64);

test('takes the image’s settings where the request has none', () => {
  const merged = mergeSettings(image, { Image: 'x' }, id);
  assert.deepEqual(commandLine(merged), ['/entry', 'default']);
  assert.equal(merged.Hostname, 'f'.repeat(12));
  assert.equal(merged.User, 'app');
  assert.equal(merged.WorkingDir, '/app');
});

test('an own command keeps the entrypoint, an own entrypoint drops the image’s command', () => {
  assert.deepEqual(commandLine(mergeSettings(image, { Cmd: ['mine'] }, id)), ['/entry', 'mine']);
  assert.deepEqual(commandLine(mergeSettings(image, { Entrypoint: ['/own'] }, id)), ['/own']);
  assert.deepEqual(commandLine(mergeSettings(image, { Entrypoint: [''], Cmd: ['sh'] }, id)), ['sh']);
});

test('merges environment by key, labels and ports by name', () => {
  const merged = mergeSettings(
    image,
    { Env: ['B=own', 'A=own'], Labels: { both: 'own' }, ExposedPorts: { '81/tcp': {} } },
    id,
  );
  assert.deepEqual(merged.Env, ['B=own', 'A=own', 'PATH=/bin']);
  assert.deepEqual(merged.Labels, { from: 'image', both: 'own' });
  assert.deepEqual(Object.keys(merged.ExposedPorts ?? {}), ['80/tcp', '81/tcp']);
});

test('of one variable given twice the last counts', () => {
  assert.deepEqual(mergeEnvironment([], ['A=1', 'B=2', 'A=3']), ['B=2', 'A=3']);
});

test('a health check overrides part by part; NONE turns it off', () => {
  assert.deepEqual(mergeSettings(image, { Healthcheck: { Interval: 1e9 } }, id).Healthcheck, {
    Test: ['CMD', 'ok'],
    Interval: 1e9,
    Retries: 2,
  });
  assert.deepEqual(mergeSettings(image, { Healthcheck: { Test: ['NONE'] } }, id).Healthcheck?.Test, ['NONE']);
});

test('refuses what cannot run', () => {
  assert.throws(() => mergeSettings({}, {}, id), { message: 'no command specified' });
  assert.throws(() => mergeSettings(image, { WorkingDir: 'relative' }, id), { kind: 'invalid' });
  assert.throws(() => mergeSettings(image, { Env: ['=x'] }, id), { kind: 'invalid' });
  assert.throws(() => mergeSettings(image, { Cmd: ['a\0b'] }, id), { kind: 'invalid' });
  assert.throws(() => mergeSettings(image, { Healthcheck: { Interval: 10 } }, id), { kind: 'invalid' });
});
