import { join } from 'node:path';
import { test } from 'node:test';
import { PowerCutDisk } from '../../src/linux/testing/index.ts';
import { atEnd } from '../../src/registry/testing/index.ts';
import { startServer } from './programs.ts';
import { checkFiles, checkRecords, finishOpenUpload, newWitness, pushUntilDeath } from './push-witness.ts';

for (const cutAfterMs of [30, 90, 170, 260]) {
  test(`keeps what it confirmed when the power goes ${cutAfterMs} ms into pushing`, async (t) => {
    const disk = new PowerCutDisk({ mebibytes: 512 });
    atEnd(t, () => disk[Symbol.dispose]());
    const root = join(disk.path, 'registry');
    const server = await startServer(t, root);
    const witness = newWitness();
    const cut = new Promise<void>((resolve) => {
      setTimeout(() => {
        witness.diskDied = true;
        resolve(disk.stop());
      }, cutAfterMs);
    });
    await pushUntilDeath(server.url, 0, witness);
    await cut;
    await server.stop('SIGKILL');

    disk.restart();
    checkFiles(root);
    const again = await startServer(t, root);
    await checkRecords(again.url, witness, '');
    await finishOpenUpload(again.url, witness);
    await checkRecords(again.url, witness, '');
  });
}
