import assert from 'node:assert/strict';
import { closeSync, mkdirSync, openSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { declare } from '../../src/linux/index.ts';
import { atEnd } from '../../src/registry/testing/index.ts';
import { run, startServer, temporaryFolder } from './programs.ts';
import { checkFiles, checkRecords, finishOpenUpload, newWitness, pushUntilDeath } from './push-witness.ts';

const shutdownRequest = 0x8004587d;
const withoutFlush = 2;

/** Stops a file system as if the power went: nothing more reaches the disk, not even its own log (FS_IOC_SHUTDOWN). */
function cutPower(mountPoint: string): void {
  const ioctl = declare<(fd: number, request: number, argument: Buffer) => number>(
    'int ioctl(int fd, unsigned long request, void *argument)',
  );
  const flags = Buffer.alloc(4);
  flags.writeUInt32LE(withoutFlush);
  const fd = openSync(mountPoint, 'r');
  try {
    assert.equal(ioctl(fd, shutdownRequest, flags), 0, 'FS_IOC_SHUTDOWN failed');
  } finally {
    closeSync(fd);
  }
}

for (const cutAfterMs of [30, 90, 170, 260]) {
  test(`keeps what it confirmed when the power goes ${cutAfterMs} ms into pushing`, async (t) => {
    const folder = temporaryFolder(t);
    const image = join(folder, 'disk');
    writeFileSync(image, '');
    truncateSync(image, 512 * 1024 * 1024);
    run(['mkfs.ext4', '-q', '-F', image]);
    const mount = (disk: string, name: string): string => {
      const at = join(folder, name);
      mkdirSync(at);
      run(['mount', '-o', 'loop', disk, at]);
      atEnd(t, () => void run(['umount', '--lazy', at]));
      return at;
    };
    const before = mount(image, 'before');
    const server = await startServer(t, join(before, 'registry'));
    const witness = newWitness();
    const cut = new Promise<void>((resolve) => {
      setTimeout(() => {
        witness.diskDied = true;
        resolve(cutPower(before));
      }, cutAfterMs);
    });
    await pushUntilDeath(server.url, 0, witness);
    await cut;
    await server.stop('SIGKILL');

    // A copy of the disk: the kernel may still hold the dead file system of the disk itself.
    const copy = join(folder, 'copy');
    run(['cp', '--sparse=always', image, copy]);
    const root = join(mount(copy, 'after'), 'registry');
    checkFiles(root);
    const again = await startServer(t, root);
    await checkRecords(again.url, witness, '');
    await finishOpenUpload(again.url, witness);
    await checkRecords(again.url, witness, '');
  });
}
