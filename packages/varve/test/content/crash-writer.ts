/**
 * Works on a content store until it is killed, and prints a line when an operation has returned: `have <digest>` for
 * a blob that must survive from now on, `maybe <digest>` before one may be collected, `failed <code>` for an error.
 * Usage: node crash-writer.ts <root>
 */
import { writeSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { VarveError } from '../../src/base/index.ts';
import { openContentStore } from '../../src/content/index.ts';
import { type Digest, digestOf } from '../../src/oci/index.ts';
import { State } from '../../src/state/index.ts';
import { bigBlob } from './big-blob.ts';

const root = process.argv[2] ?? '';
const say = (line: string): void => void writeSync(1, `${line}\n`);

async function attempt(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    say(`failed ${VarveError.from(error).code}`);
  }
}

using state = new State(`${root}/state.db`);
const store = openContentStore({ root, state, grace: 0 });
const roots = new Set<Digest>();
const keep = (digest: Digest): void => {
  roots.add(digest);
  say(`have ${digest}`);
};

for (let round = 0; round < 3; round++) {
  await attempt(async () => keep((await store.write(Buffer.from(`kept ${round}`))).digest));
  await attempt(async () => void (await store.write(Buffer.from(`garbage ${round}`))));
  await attempt(async () => {
    const path = store.temporaryPath();
    const data = Buffer.alloc(100_000, `adopted ${round}`);
    await writeFile(path, data);
    const blob = { digest: digestOf(data), size: data.length };
    await store.adopt(path, blob);
    keep(blob.digest);
  });
  await attempt(async () => {
    const data = bigBlob(round);
    const ingest = await store.ingest(`big ${round}`, { digest: digestOf(data), size: data.length });
    try {
      for (let at = ingest.offset; at < data.length; at += 300_000)
        await ingest.write(data.subarray(at, at + 300_000));
      keep((await ingest.commit()).digest);
    } finally {
      await ingest.close();
    }
  });
  await attempt(async () => void (await store.collect(roots)));
}
say('end');
