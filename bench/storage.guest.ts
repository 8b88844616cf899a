/** Runs in the guest that `storage-guest.ts` boots: the parts of the storage benchmark for devicemapper, and what to hold it against. */
import { mkdirSync, openSync, writeSync } from 'node:fs';
import { test } from 'node:test';
import { parseStorageOptions } from '../packages/varve/src/storage/index.ts';
import { storageDriverKinds } from '../packages/varve/src/bin/storage-drivers.ts';
import { must } from './harness.ts';
import type { Figures } from './storage-cells.ts';
import type { FigureLine } from './storage-guest.ts';
import { Workshop } from './storage-images.ts';
import { type Bench, guestSizes, parts } from './storage-parts.ts';
import { OurStore, type Store } from './storage-stores.ts';

/** Of one step; the tests' own limit is 240 s. */
const limitMs = 200_000;
const serial = openSync('/dev/ttyS0', 'w');

function send<Method extends keyof Figures>(method: Method) {
  return (...words: Parameters<Figures[Method]>): void => {
    const line = { type: 'figure', method, words } as FigureLine;
    writeSync(serial, `${JSON.stringify(line)}\n`);
  };
}

/** An ext4 on a loop device, as devicemapper's volumes are. */
function disk(): string {
  const image = '/var/tmp/disk.ext4';
  must(['truncate', '-s', '2G', image]);
  must(['mkfs.ext4', '-q', '-E', 'lazy_itable_init=1', image]);
  mkdirSync('/var/tmp/disk');
  must(['mount', '-o', 'loop,noinit_itable', image, '/var/tmp/disk']);
  return '/var/tmp/disk';
}

function open(name: string, root: string, options: readonly string[] = []): Store {
  mkdirSync(root, { recursive: true });
  const kind = storageDriverKinds(root).find((one) => one.name === name);
  if (!kind) throw new Error(`no storage driver ${name}`);
  return new OurStore(kind.create(parseStorageOptions(options)), root, limitMs);
}

const plain = disk();
const bench: Bench = {
  stores: [
    open('devicemapper', '/var/tmp/pool', [
      'dm.basesize=1G',
      'dm.loopdatasize=2G',
      'dm.loopmetadatasize=16M',
    ]),
    open('overlay2', `${plain}/overlay2`),
    open('vfs', `${plain}/vfs`),
  ],
  sizes: guestSizes,
  recorder: { add: send('add'), cut: send('cut'), miss: send('miss'), took: send('took') },
  workshop: new Workshop('/var/tmp/images'),
  floor: {
    name: 'tar -xzf, sync',
    argv: ['sh', '-c', 'to=$(mktemp -d -p /var/tmp/disk) && tar -xzf "$0" -C "$to" && sync'],
  },
  stopped: () => undefined,
};

// The pool and its base are made once, at the first use.
test('first use', async () => {
  for (const store of bench.stores) {
    if (!(store instanceof OurStore)) continue;
    await store.driver.prepare('first', undefined);
    await store.driver.remove('first');
  }
});
for (const part of ['stack', 'diff', 'write', 'apply', 'share']) {
  test(part, async () => await parts[part]?.(bench));
}
