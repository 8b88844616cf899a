/**
 * Power cuts at many moments of a driver's work: what was acknowledged is there, byte by byte, and nothing is seen half.
 * VARVE_TEST_CUTS: how many for each pair of driver and file system.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { BtrfsDisk, PowerCutDisk, type TestDisk } from '../../src/linux/testing/index.ts';
import { BtrfsDriver } from '../../src/storage/drivers/btrfs/btrfs.ts';
import { ErofsDriver } from '../../src/storage/drivers/erofs/erofs.ts';
import { OverlayDriver } from '../../src/storage/drivers/overlay/overlay.ts';
import { Overlay2Driver } from '../../src/storage/drivers/overlay2/overlay2.ts';
import { VfsDriver } from '../../src/storage/drivers/vfs/vfs.ts';
import type { StorageDriver } from '../../src/storage/index.ts';
import { childEnvironment } from '../../src/storage/testing/index.ts';
import type { PowerOrder } from './power-child.ts';
import { type Contents, contentsAfter, type PowerReport, type PowerStep } from './power-work.ts';

const cuts = Number(process.env['VARVE_TEST_CUTS'] ?? 20);
/** A cut comes some milliseconds after some steps, at most so many of each. */
const mostSteps = 8;
const longest = 40;

type DriverClass = new (root: string) => StorageDriver;
const drivers: Readonly<Record<string, DriverClass>> = {
  erofs: ErofsDriver,
  overlay2: Overlay2Driver,
  overlay: OverlayDriver,
  vfs: VfsDriver,
};
const pairs: readonly (readonly [name: string, Driver: DriverClass, makeDisk: () => TestDisk, on: string])[] =
  [
    ...Object.entries(drivers).flatMap(([name, Driver]) =>
      (['ext4', 'xfs'] as const).map(
        (type) => [name, Driver, () => new PowerCutDisk({ type, mebibytes: 512 }), type] as const,
      ),
    ),
    ['btrfs', BtrfsDriver, () => new BtrfsDisk(512), 'btrfs'],
  ];

/** Everything below a folder. */
function read(root: string, prefix = ''): Map<string, string | null> {
  const contents = new Map<string, string | null>();
  for (const name of readdirSync(join(root, prefix))) {
    const path = join(prefix, name);
    const isFolder = statSync(join(root, path)).isDirectory();
    contents.set(path, isFolder ? null : readFileSync(join(root, path), 'utf8'));
    if (isFolder) for (const [below, content] of read(root, path)) contents.set(below, content);
  }
  return contents;
}

/** What the child was promised, and what it was in the middle of. */
class Promises {
  readonly contents = new Map<string, Contents>();
  readonly present = new Set<string>();
  /** Steps that were begun and not acknowledged while the disk was alive. */
  #open: PowerStep[] = [];
  /**
   * Set when the disk was stopped: what is said then may be said of a dead one. fsync(2) of a folder on an XFS that was
   * shut down finds nothing to wait for and succeeds.
   */
  #isOver = false;
  round = 0;
  /** What is there, children before their parents. */
  topFirst: readonly string[] = [];
  acknowledged = 0;

  take({ when, step }: PowerReport): void {
    if (when === 'begin') {
      this.#open.push(step);
      this.round = Math.max(this.round, step.round + 1);
      const parent = step.parent === undefined ? undefined : this.contents.get(step.parent);
      if (step.kind !== 'remove') this.contents.set(step.key, contentsAfter(step, parent ?? new Map()));
      return;
    }
    if (this.#isOver) return;
    this.#open = [];
    this.acknowledged++;
    if (step.kind === 'remove') this.present.delete(step.key);
    else this.present.add(step.key);
    if (step.kind === 'commit') this.present.delete(step.parent ?? '');
  }

  end(): void {
    this.#isOver = true;
  }

  /** The steps that may have been done or not, for messages. */
  get unsure(): string {
    return this.#open.map(({ kind, key }) => `${kind} of ${key}`).join(', ');
  }

  /** All of it holds, after recovery. */
  async check(driver: StorageDriver): Promise<void> {
    const unsure = new Set(
      this.#open.flatMap(({ kind, key, parent }) => (kind === 'commit' ? [key, parent] : [key])),
    );
    const listed = [...driver.list()].map(({ key }) => key);
    for (const key of this.present) assert.ok(unsure.has(key) || listed.includes(key), `${key} was promised`);
    for (const key of listed)
      assert.ok(unsure.has(key) || this.present.has(key), `${key} was removed or never made`);
    const [open, ...more] = this.#open;
    if (open?.kind === 'commit' && more.length === 0) {
      const names = listed.filter((key) => unsure.has(key));
      assert.equal(names.length, 1, `a commit has the old name or the new one: ${names.join()}`);
    }
    for (const key of listed) {
      const root = await driver.mount(key);
      const found = read(root);
      await driver.unmount(key);
      const active = driver.info(key)?.kind === 'active';
      const expected = this.contents.get(key) ?? new Map<string, string | null>();
      // What was written to an active snapshot is nobody's promise; what it stands on is.
      for (const path of found.keys())
        if (active && path.startsWith('dir/step-') && !expected.has(path)) found.delete(path);
      // Compared by line first: a difference of long texts is slow to print.
      assert.deepEqual([...found.keys()].sort(), [...expected.keys()].sort(), key);
      for (const [path, content] of expected)
        assert.ok(found.get(path) === content, `${key}: ${path} differs`);
    }
    this.present.clear();
    for (const key of listed) this.present.add(key);
    this.topFirst = listed.sort((a, b) => depth(driver, b) - depth(driver, a));
    this.#open = [];
    this.#isOver = false;
  }
}

function depth(driver: StorageDriver, key: string): number {
  const parent = driver.info(key)?.parent;
  return parent === undefined ? 0 : 1 + depth(driver, parent);
}

/** The child works until the disk is stopped after some time, or it is killed before that. */
async function workAndCut(
  child: ChildProcess,
  order: PowerOrder,
  disk: TestDisk,
  promises: Promises,
): Promise<void> {
  const listen = (report: PowerReport): void => {
    if (report.when !== 'failed') promises.take(report);
  };
  child.on('message', listen);
  const failed = new Promise<void>((resolve, reject) => {
    child.on('message', (report: PowerReport) => {
      if (report.when === 'failed') resolve();
    });
    child.once('exit', (code, signal) => {
      if (signal === 'SIGKILL') resolve();
      else reject(new Error(`the child ended: ${code} ${signal}`));
    });
  });
  child.send(order);
  const target = promises.acknowledged + Math.floor(Math.random() * (mostSteps + 1));
  while (promises.acknowledged < target) await Promise.race([once(child, 'message'), failed]);
  await Promise.race([delay(Math.random() * longest), failed]);
  // A disk that cannot be stopped is copied: only without a writer is that one moment's state.
  if (disk instanceof PowerCutDisk) disk.stop();
  else child.kill('SIGKILL');
  promises.end();
  await failed;
  if (disk instanceof PowerCutDisk) disk.restart();
  else disk.cut();
  child.removeAllListeners('message');
  child.removeAllListeners('exit');
}

describe('a storage driver whose power is cut keeps what it acknowledged, and shows nothing half:', () => {
  for (const [name, Driver, makeDisk, on] of pairs) {
    test(`${name} on ${on}`, async (t) => {
      using disk = makeDisk();
      const blobs = mkdtempSync('/dev/shm/varve-blobs-');
      let child = startChild();
      const promises = new Promises();
      const root = join(disk.path, 'snapshots');
      const module = new URL(`../../src/storage/drivers/${name}/${name}.ts`, import.meta.url).href;
      try {
        for (let cut = 0; cut < cuts; cut++) {
          const { round, topFirst: old } = promises;
          if (child.killed) child = startChild();
          await workAndCut(child, { module, exported: Driver.name, root, blobs, round, old }, disk, promises);
          const driver = new Driver(root);
          await driver.recover();
          await promises.check(driver).catch((error: unknown) => {
            throw new Error(`cut ${cut}, in the middle of ${promises.unsure}`, {
              cause: error,
            });
          });
          await driver.close();
          const again = new Driver(root);
          assert.deepEqual(await again.recover(), [], 'a second recovery has nothing to do');
          await again.close();
        }
        assert.ok(promises.acknowledged > cuts, `${promises.acknowledged} steps in ${cuts} cuts`);
        t.diagnostic(`${cuts} cuts, ${promises.acknowledged} steps acknowledged`);
      } finally {
        child.kill('SIGKILL');
        rmSync(blobs, { recursive: true });
      }
    });
  }
});

function startChild(): ChildProcess {
  return fork(new URL('./power-child.ts', import.meta.url), {
    env: childEnvironment(),
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
}
