import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { callControl } from '../../src/registry/control/index.ts';
import { eventually } from '../../src/registry/testing/index.ts';
import { choosePoints, countCalls, killAt } from '../crash/strace.ts';
import { checkUsage, FaultWitness, storedBlobs } from './fault-witness.ts';
import { type ServerProcess, startConfigured, startServer, temporaryFolder } from './programs.ts';
import { checkFiles, checkRecords, finishOpenUpload, newWitness, pushUntilDeath } from './push-witness.ts';

// Raised where there is time.
const kills = Number(process.env['VARVE_TEST_KILLS'] ?? 10);

test('loses nothing confirmed and shows nothing torn when killed at any point of a push', async (t) => {
  const folder = temporaryFolder(t);
  const root = join(folder, 'registry');
  const witness = newWitness();
  const rounds = kills;
  let resumed = 0;
  let server: ServerProcess = await startServer(t, root);
  for (let round = 0; round < rounds; round++) {
    // A push of this size takes some tens of milliseconds: the kills spread over several of them.
    const killer = new Promise<void>((resolve) => {
      setTimeout(() => resolve(server.stop('SIGKILL')), 5 + Math.random() * 120);
    });
    await pushUntilDeath(server.url, round, witness);
    await killer;
    checkFiles(root);
    server = await startServer(t, root);
    await checkRecords(server.url, witness, `r${round}-`);
    if (await finishOpenUpload(server.url, witness)) resumed++;
  }
  await checkRecords(server.url, witness, '');
  assert.ok(witness.blobs.size > 0 && resumed > 0, `${witness.blobs.size} blobs, ${resumed} resumed`);
});

interface Collected {
  readonly blobs: readonly string[];
  readonly links: number;
  readonly manifests: number;
}

async function collect(root: string, query: Readonly<Record<string, string>> = {}): Promise<Collected> {
  for await (const item of callControl(join(root, 'control.sock'), '/collect', { grace: '0s', ...query })) {
    if ('done' in item) return item.done as Collected;
  }
  throw new Error('the collection did not end');
}

/** What is killed: a preparation, and the work that it leaves to be done. */
const steps: Readonly<
  Record<string, (witness: FaultWitness, root: string) => Promise<() => Promise<unknown>>>
> = {
  'an upload in chunks': async (witness) => () => witness.uploadInChunks(),
  'an upload in one request': async (witness) => () => witness.uploadAtOnce(),
  'the push of a manifest and an index': (witness) => witness.image(),
  'deleting a tag, manifests and a blob': async (witness) => {
    const pushed = await (await witness.image())();
    return () => witness.remove(pushed);
  },
  'a collection': async (witness, root) => {
    await (await witness.image())();
    await witness.remove(await (await witness.image())());
    await witness.uploadAtOnce();
    return () => {
      witness.forgetLooseBlobs();
      return collect(root);
    };
  },
};
const pointsOfStep = process.env['VARVE_TEST_ALL'] ? 12 : 3;
const noStrace = existsSync('/usr/bin/strace') ? false : 'strace is not installed';

test('keeps what it confirmed when killed at any step of an upload, push, delete or collection', {
  skip: noStrace,
}, async (t) => {
  const folder = temporaryFolder(t);
  const root = join(folder, 'registry');
  const start = (age: string): Promise<ServerProcess> =>
    startConfigured(t, {
      http: { addr: '127.0.0.1:0' },
      log: { accesslog: { disabled: true } },
      quotas: [{ repository: '**', bytes: '1GiB' }],
      storage: {
        filesystem: { rootdirectory: root },
        delete: { enabled: true },
        maintenance: { uploadpurging: { age, interval: '1s' } },
      },
    });
  const witness = new FaultWitness();
  let server = await start('1h');
  witness.url = server.url;
  let killed = 0;
  for (const [name, prepare] of Object.entries(steps)) {
    const work = await prepare(witness, root);
    const calls = await countCalls(server.pid, join(folder, 'trace'), work);
    for (const point of choosePoints(calls, pointsOfStep)) {
      const doomed = await prepare(witness, root);
      const release = await killAt(server.pid, point);
      const died = await doomed().then(
        () => false,
        (error: unknown) => !(error instanceof assert.AssertionError) || Promise.reject(error),
      );
      if (died) killed++;
      await server.stop('SIGKILL');
      await release();
      checkFiles(root);
      server = await start('1h');
      witness.url = server.url;
      await witness.check().catch((cause: unknown) => {
        throw new Error(`killed in ${name} at ${point.call} ${point.when}`, { cause });
      });
      checkUsage(root);
    }
  }
  assert.ok(killed >= 5, `killed ${killed} times only`);

  // The bytes of what was abandoned come back, and the list of what to review has missed nothing.
  await server.stop();
  server = await start('1ms');
  witness.url = server.url;
  await eventually(() => readdirSync(join(root, 'uploads')).length === 0, 'abandoned uploads are gone');
  await collect(root);
  const { unknown } = storedBlobs(root);
  const found = await collect(root, { full: 'true' });
  const rest = { ...found, blobs: found.blobs.toSorted() };
  assert.deepEqual(rest, { ...rest, manifests: 0, links: 0, blobs: unknown.toSorted() });
  assert.deepEqual(storedBlobs(root).unknown, []);
  await witness.check();
  checkUsage(root);
  t.diagnostic(`killed ${killed} times; ${unknown.length} blobs were without a record`);
});
