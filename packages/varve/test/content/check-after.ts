import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { openContentStore } from '../../src/content/index.ts';
import { type Digest, digestOf, parseDigest } from '../../src/oci/index.ts';
import { State } from '../../src/state/index.ts';
import { bigBlob } from './big-blob.ts';

/** Opens the root as the next process does, and checks all that must hold after any crash. */
export async function checkAfter(root: string, lines: readonly string[]): Promise<void> {
  using state = new State(join(root, 'state.db'));
  const store = openContentStore({ root, state, grace: 0 });
  assert.deepEqual((await store.check()).problems, []);
  const have = lines.filter((line) => line.startsWith('have ')).map((line) => parseDigest(line.slice(5)));
  for (const digest of have) assert.ok((await store.read(digest)).length > 0, `${digest} was promised`);
  for (const name of readdirSync(join(root, 'content/ingest'))) assert.doesNotMatch(name, /^tmp-/);
  // Whatever came of the large blobs, they can be finished now.
  for (let round = 0; round < 3; round++) {
    const data = bigBlob(round);
    const ingest = await store.ingest(`big ${round}`, { digest: digestOf(data), size: data.length });
    await ingest.write(data.subarray(ingest.offset));
    await ingest.commit();
    assert.ok(data.equals(await store.read(digestOf(data))));
  }
  const roots = new Set<Digest>(have);
  await store.collect(roots);
  assert.deepEqual((await store.check()).problems, []);
  for (const digest of roots) assert.ok(store.stat(digest));
}
