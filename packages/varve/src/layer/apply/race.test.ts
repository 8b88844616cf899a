import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { extractTar } from '../extract-tar.ts';
import { packTree } from '../pack-tree.ts';
import { archive, file, folder } from '../testing/archive.ts';
import { TemporaryFolder } from '../testing/tree.ts';

/** Exchanges two names without end until told to stop, as a container racing with `docker cp` (CVE-2018-15664). */
function swapper(root: string, a: string, b: string): Worker {
  const linux = JSON.stringify(fileURLToPath(new URL('../../linux/index.ts', import.meta.url)));
  return new Worker(
    `import { renameat2 } from ${linux};
     import { openSync } from 'node:fs';
     import { workerData, parentPort } from 'node:worker_threads';
     const fd = openSync(workerData.root, 'r');
     const stop = new Int32Array(workerData.stop);
     parentPort.postMessage('running');
     while (Atomics.load(stop, 0) === 0) renameat2(fd, workerData.a, fd, workerData.b, 2);`,
    { eval: true, execArgv: ['--input-type=module'], workerData: { root, a, b, stop } },
  );
}
const stop = new SharedArrayBuffer(4);

test('a folder swapped with a link to the host during cp leads nowhere', async () => {
  using temporary = new TemporaryFolder();
  const [root, host] = [temporary.join('root'), temporary.join('host')];
  for (const path of [root, host, `${root}/d`]) mkdirSync(path);
  writeFileSync(`${host}/secret`, 'host secret');
  writeFileSync(`${root}/d/secret`, 'inside');
  symlinkSync(host, `${root}/link`);
  const worker = swapper(root, 'd', 'link');
  try {
    await new Promise((resolve) => worker.once('message', resolve));
    let [wrote, read] = [0, 0];
    const data = archive(folder('d/new'), file('d/new/f', 'x'), file('d/g', 'x'));
    for (let i = 0; i < 300; i++) {
      await extractTar(Readable.from([data.subarray(512)]), { root }).then(
        () => wrote++,
        () => undefined,
      );
      const chunks: Buffer[] = [];
      try {
        for await (const chunk of packTree(root, [{ path: 'd/secret' }])) chunks.push(chunk as Buffer);
        read++;
      } catch {
        // The name was a link just then, and that leads to nothing inside.
      }
      assert.ok(!Buffer.concat(chunks).includes('host secret'), `host file read in round ${i}`);
    }
    assert.ok(wrote > 0 && read > 0, `${wrote} written, ${read} read`);
  } finally {
    Atomics.store(new Int32Array(stop), 0, 1);
    await worker.terminate();
  }
  assert.deepEqual(readdirSync(host), ['secret']);
  assert.equal(readFileSync(`${host}/secret`, 'utf8'), 'host secret');
});
