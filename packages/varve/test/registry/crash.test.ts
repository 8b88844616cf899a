import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { type ServerProcess, startServer, temporaryFolder } from './programs.ts';
import { checkFiles, checkRecords, finishOpenUpload, newWitness, pushUntilDeath } from './push-witness.ts';

test('loses nothing confirmed and shows nothing torn when killed at any point of a push', async (t) => {
  const folder = temporaryFolder(t);
  const root = join(folder, 'registry');
  const witness = newWitness();
  const rounds = 10;
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
