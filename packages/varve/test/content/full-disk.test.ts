import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isKind } from '../../src/base/index.ts';
import { openContentStore } from '../../src/content/index.ts';
import { digestOf } from '../../src/oci/index.ts';
import { State } from '../../src/state/index.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root to mount a small file system';

for (const [name, options] of [
  ['bytes', 'size=6m'],
  ['inodes', 'size=64m,nr_inodes=24'],
] as const) {
  test(`tells that ${name} ran out, keeps what it has, and works again after a collection`, {
    skip,
  }, async () => {
    const root = mkdtempSync('/var/tmp/varve-full-');
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', root]);
    try {
      using state = new State(join(root, 'state.db'));
      const store = openContentStore({ root, state, grace: 0 });
      const blobs: Buffer[] = [];
      let failure: unknown;
      for (let index = 0; failure === undefined && index < 100; index++) {
        const data = Buffer.alloc(250_000, `blob ${index}`);
        try {
          if (index % 2 === 0) await store.write(data);
          else {
            const ingest = await store.ingest(`key ${index}`, { digest: digestOf(data), size: data.length });
            try {
              await ingest.write(data);
              await ingest.commit();
            } finally {
              await ingest.close();
            }
          }
          blobs.push(data);
        } catch (error) {
          failure = error;
        }
      }
      assert.ok(isKind(failure, 'exhausted'), String(failure));
      assert.ok(blobs.length > 2, `${blobs.length} blobs fitted`);
      for (const data of blobs) assert.ok(data.equals(await store.read(digestOf(data))));
      assert.deepEqual((await store.check()).problems, []);
      const kept = digestOf(blobs[0] ?? '');
      await store.collect([kept]);
      const again = Buffer.from('there is room again');
      await store.write(again);
      assert.equal(String(await store.read(digestOf(again))), String(again));
      assert.ok(store.stat(kept));
    } finally {
      execFileSync('umount', [root]);
      rmSync(root, { recursive: true });
    }
  });
}
