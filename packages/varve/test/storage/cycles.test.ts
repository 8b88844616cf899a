/** Lives of containers, one after the other, leave nothing behind. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { BtrfsDisk } from '../../src/linux/testing/index.ts';
import { busyboxTar, eventually, TestEngine } from '../engine/harness.ts';

/** How many lives, over each driver. */
const cycles = Number(process.env['VARVE_TEST_CYCLES'] ?? 8);
/** Lives before the first look: caches fill, threads start. */
const warmUp = 8;
/** All that run on the host; devicemapper has a case of its own in the guest. `VARVE_TEST_CYCLES_DRIVER` runs one alone. */
const drivers = ['erofs', 'overlay2', 'overlay', 'vfs', 'btrfs', 'aufs'].filter((name) =>
  [undefined, '', name].includes(process.env['VARVE_TEST_CYCLES_DRIVER']),
);
/** Bytes by which the engine may have grown: what a garbage collector has not given back. */
const growthLimit = 64 << 20;

/** All below a folder, by path; what a file system shows of itself aside. */
function tree(folder: string, skip: RegExp): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => !skip.test(path))
    .sort();
}

/** Everything that a container could leave: on the host, in both roots, in the records. */
async function traces(engine: TestEngine, root: string): Promise<Record<string, unknown>> {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const state = new DatabaseSync(join(root, 'state.db'), { readOnly: true });
  const tables = state
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    .all()
    .map(({ name }) => String(name));
  const counts = Object.fromEntries(
    tables.map((table) => [table, state.prepare(`SELECT count(*) AS count FROM ${table}`).get()?.['count']]),
  );
  state.close();
  const backing = (device: string): string => {
    const path = `/sys/block/${device}/loop/backing_file`;
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  };
  const isOurs = (text: string): boolean => text.includes(engine.folder) || text.includes(root);
  return {
    mounts: mounts.filter(isOurs).map((line) => line.split(' ')[4]),
    loops: readdirSync('/sys/block').filter((name) => name.startsWith('loop') && isOurs(backing(name))),
    mapped: readdirSync('/sys/block').filter((name) => name.startsWith('dm-')),
    links: (await engine.onHost('ip', '-o', 'link')).stdout.split('\n').length,
    rules: (await engine.onHost('nft', 'list', 'ruleset')).stdout,
    data: tree(root, /^state\.db/),
    exec: tree(join(engine.folder, 'run'), /^$/),
    counts,
  };
}

/** Open files and resident bytes of the engine. */
function held(engine: TestEngine): { readonly files: number; readonly bytes: number } {
  const pid = readFileSync(join(engine.folder, 'pid'), 'utf8').trim();
  const [, kilobytes] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return { files: readdirSync(`/proc/${pid}/fd`).length, bytes: Number(kilobytes) * 1024 };
}

for (const driver of drivers) {
  test(`${cycles} lives of containers on ${driver} leave no mount, device, namespace, rule, file or record`, async () => {
    using disk = driver === 'btrfs' ? new BtrfsDisk(2048) : undefined;
    await using engine = await TestEngine.start();
    const root = join(disk?.path ?? engine.folder, `root-${driver}`);
    await engine.down();
    await engine.up(`--storage-driver=${driver}`, `--data-root=${root}`);
    await engine.ok('import', '-c', 'CMD ["sh"]', busyboxTar(engine.folder), 'busybox');
    await engine.ok('run', '--name', 'aa', '--network=none', 'busybox', 'sh', '-c', 'echo layer >/layer');
    await engine.ok('commit', 'aa', 'stacked');
    await engine.ok('rm', 'aa');
    // One stays, so that what all share (bridge, table) is there at both looks.
    await engine.ok('run', '-d', '--name', 'stays', '-p', '127.0.0.1::80', 'stacked', 'sleep', '100000');

    /** The four ways out: removed by itself, after its end, by force, with its volume and port. */
    const live = async (index: number): Promise<void> => {
      const kind = index % 4;
      if (kind === 0) await engine.ok('run', '--rm', 'stacked', 'sh', '-c', 'echo x >/x; rm /layer');
      else if (kind === 1) {
        await engine.ok('create', '--name', 'life', '--network=none', 'stacked', 'true');
        await engine.ok('start', '-a', 'life');
        await engine.ok('rm', 'life');
      } else if (kind === 2) {
        await engine.ok('run', '-d', '--name', 'life', 'stacked', 'sleep', '1000');
        await engine.ok('rm', '-f', 'life');
      } else {
        await engine.ok(
          'run',
          '-d',
          '--name',
          'life',
          '-v',
          '/data',
          '-p',
          '127.0.0.1::80',
          'stacked',
          'sleep',
          '1000',
        );
        await engine.ok('rm', '-fv', 'life');
      }
    };
    for (let index = 0; index < warmUp; index++) await live(index);
    await eventually(
      'deletions are over',
      () => readdirSync(join(root, 'snapshots', driver, 'trash')).length === 0,
    );
    const before = await traces(engine, root);
    const start = held(engine);
    for (let index = 0; index < cycles; index++) await live(index);

    const same = async (): Promise<boolean> =>
      JSON.stringify(await traces(engine, root)) === JSON.stringify(before);
    // What a removal leaves to be deleted goes in the background.
    await eventually('as before', same, 30_000).catch(async () =>
      assert.deepEqual(await traces(engine, root), before),
    );
    await eventually('no more open files than before', () => held(engine).files <= start.files + 2, 30_000);
    const end = held(engine);
    assert.ok(end.bytes - start.bytes < growthLimit, `${start.bytes} bytes became ${end.bytes}`);
    const report = await engine.ok('ps', '-aq');
    assert.equal(report.split('\n').length, 1);
  });
}
