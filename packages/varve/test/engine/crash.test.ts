import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually, TestEngine } from './harness.ts';

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(() => engine[Symbol.asyncDispose]());

function names(folder: string): readonly string[] {
  const path = join(engine.folder, folder);
  return existsSync(path) ? readdirSync(path) : [];
}

/** What is on the machine besides the records: each must be empty when there are no containers. */
async function leftovers(): Promise<Record<string, readonly string[]>> {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((target) => target.startsWith(`${engine.folder}/`));
  const links = await engine.onHost('ip', '-br', 'link');
  return {
    mounts,
    folders: names('root/containers'),
    bundles: names('run/runtime/c'),
    exits: names('run/runtime/exits'),
    namespaces: names('run/netns'),
    devices: links.stdout.split('\n').filter((line) => line.startsWith('vv')),
  };
}

const nothing = { mounts: [], folders: [], bundles: [], exits: [], namespaces: [], devices: [] };

test('an engine killed at any moment of run, stop and rm comes back clean', async () => {
  // Spread over the time a run takes, so that each step of it is hit.
  const moments = [15, 40, 60, 80, 100, 130, 170, 220];
  for (const moment of moments) {
    const work = Promise.all([
      engine.docker('run', '--rm', '-v', '/anonymous', '-p', '80', 'busybox', 'true'),
      engine.docker('run', '-d', '--name', `stays-${moment}`, 'busybox', 'sleep', '1000'),
      engine
        .docker('create', '--name', `made-${moment}`, 'busybox')
        .then(() => engine.docker('rm', `made-${moment}`)),
    ]);
    await delay(moment);
    await engine.down('SIGKILL');
    await work;
    await engine.up();
    const states = await engine.ok('ps', '-a', '--format', '{{.Names}} {{.State}}');
    for (const line of states.split('\n').filter(Boolean)) {
      assert.match(line, /^(stays|made)-\d+ (running|created|exited)$/, `killed after ${moment} ms`);
    }
    const ids = (await engine.ok('ps', '-aq')).split('\n').filter(Boolean);
    if (ids.length > 0) await engine.ok('rm', '-fv', ...ids);
    await eventually(`nothing is left after ${moment} ms`, async () => {
      const left = await leftovers();
      return JSON.stringify(left) === JSON.stringify(nothing);
    }).catch(async () => assert.deepEqual(await leftovers(), nothing, `killed after ${moment} ms`));
    assert.equal(await engine.ok('run', '--rm', 'busybox', 'echo', 'fine'), 'fine');
  }
  assert.equal(await engine.ok('volume', 'ls', '-q'), '');
});

test('sixty runs leave no open file behind', async () => {
  const files = (): number =>
    readdirSync(`/proc/${readFileSync(join(engine.folder, 'pid'), 'utf8')}/fd`).length;
  const round = async (): Promise<void> => {
    await Promise.all(
      Array.from({ length: 4 }, () =>
        engine.docker('run', '--rm', '-p', '80', '-v', '/v', 'busybox', 'true'),
      ),
    );
  };
  for (let count = 0; count < 3; count++) await round();
  await eventually(
    'clean-ups end',
    async () => JSON.stringify(await leftovers()) === JSON.stringify(nothing),
  );
  const before = files();
  for (let count = 0; count < 12; count++) await round();
  await eventually(
    'clean-ups end',
    async () => JSON.stringify(await leftovers()) === JSON.stringify(nothing),
  );
  await eventually(`as many open files as before (${before})`, () => files() <= before + 2);
});
