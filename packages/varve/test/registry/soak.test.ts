import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SoakClient, SoakCollector, soakCounts } from './cluster/soak.ts';
import { storedBlobs } from './fault-witness.ts';
import { startServer, temporaryFolder } from './programs.ts';

// Raised where there is time: the collector and the clients meet more often.
const soakSeconds = Number(process.env['VARVE_TEST_SECONDS'] ?? 3);
const graceMs = 2000;

test('nothing confirmed is unknown while clients push, pull and delete and collections follow each other', async (t) => {
  const root = temporaryFolder(t);
  const { url } = await startServer(t, root);
  const clients = Array.from(
    { length: 8 },
    (_, number) => new SoakClient(() => [url], ['soak/shared', `soak/own-${number}`], graceMs),
  );
  const collector = new SoakCollector(root, graceMs);
  const deadline = Date.now() + soakSeconds * 1000;
  await Promise.all([
    ...clients.map((client) => client.run(deadline)),
    collector.run(() => Date.now() > deadline && clients.every(({ deleted }) => deleted > 0)),
  ]);
  for (const client of clients) await client.pullKept();
  const atOnce = new SoakCollector(root, 0);
  await atOnce.collect(true);
  const needed = clients.flatMap(({ kept }) => [...kept.values()].flatMap(({ blobs }) => blobs));
  const { stored, unknown } = storedBlobs(root);
  assert.deepEqual([stored.toSorted(), unknown], [[...new Set<string>(needed)].toSorted(), []]);
  for (const client of clients) await client.pullKept();
  t.diagnostic(soakCounts(clients, [collector, atOnce]));
});
