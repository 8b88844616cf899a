import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { BtrfsDisk } from '../../src/linux/testing/index.ts';
import { busyboxTar, entry, TestEngine } from '../engine/harness.ts';
import { type HostProcess, startVarveRegistry } from '../support/host-process.ts';

/**
 * From each driver of the host once, and to each once, on a btrfs, where all of them can run. devicemapper moves in the
 * guest: `../guest/devicemapper-images.guest.ts`.
 */
const ring = ['erofs', 'overlay', 'aufs', 'btrfs', 'vfs', 'overlay2', 'erofs'] as const;

/** Where a migration to a driver is killed first, with unions and subvolumes in use. */
const killedAt: Readonly<Partial<Record<(typeof ring)[number], RegExp>>> = {
  aufs: /^container 2/,
  btrfs: /^compare 2/,
};
/** One that is killed, after which the next is begun at once: what the first one left is the second one's to clear. */
const killedBefore: Readonly<Partial<Record<(typeof ring)[number], RegExp>>> = {
  overlay: /^layer 1/,
  vfs: /^compare 2/,
};

/** All that is seen of images, containers and volumes. */
interface Shown {
  readonly images: string;
  readonly trees: readonly string[];
  readonly diffs: readonly string[];
  /** DiffIDs of an image made of `box`: names, attributes, links, bytes. */
  readonly layers: string;
}

let disk: BtrfsDisk;
let engine: TestEngine;
let registry: HostProcess & { readonly host: string };
let app: string;
/** What there is before any migration. */
let original: Shown;
let digest: string;

const root = (...names: string[]): string => join(disk.path, 'root', ...names);

const changes = [
  'echo changed >/d/f; rm /d/g; mkdir -p /new/deep; ln /d/f /new/hard; ln -s ../d/f /new/soft',
  'chmod 4711 /d/h; chown 7:8 /d; touch -d @1000000 /new/deep; truncate -s 5M /new/sparse; mkfifo /new/pipe',
  'rm /etc/group /old/stale; echo kept >/volume/file',
].join('; ');

/** An opaque folder is one under a union only; where trees are compared, each name is deleted. */
const opaque = 'rm -r /old; mkdir /old; echo again >/old/fresh; rm /d/g';

/** All of a container's files: types, modes, owners, sizes, times and bytes; `overlay` links those of an image to each other. */
const list =
  'cd /; stat -c "%n %h" new/hard; find d new old marked -not -type d -exec stat -c "%n %f %u %g %s %Y" {} + | sort; find d new old -type d -exec stat -c "%n %f %u %g" {} + | sort; find d new old -type f | sort | xargs md5sum; ls etc; md5sum bin/*box volume/*';

before(async () => {
  disk = new BtrfsDisk(2048);
  engine = await TestEngine.start();
  await engine.down();
  await up(`--storage-driver=${ring[0]}`);
  await engine.ok('import', '-c', 'CMD ["sh"]', busyboxTar(engine.folder), 'busybox');
  registry = await startVarveRegistry(engine.netns, join(engine.folder, 'registry'));
  app = `${registry.host}/app:1`;
  const make = 'mkdir /d /old; echo hello >/d/f; seq 9999 >/d/g; echo h >/d/h; touch /old/stale';
  await engine.ok('run', '--name', 'maker', '--network=none', 'busybox', 'sh', '-c', make);
  await engine.ok('commit', 'maker', app);
  await engine.ok('rm', 'maker');
  digest = digestOf(await engine.ok('push', app));
  const box = ['--name', 'box', '--network=none', '-v', 'data:/volume', app];
  await engine.ok('run', ...box, 'sh', '-c', `test -e /new || { ${changes}; }`);
  const copied = await engine.dockerInput(markedTar(engine.folder), 'cp', '-', 'box:/');
  assert.equal(copied.code, 0, copied.stderr);
  const sized = ['--name', 'sized', '--network=none', '--storage-opt', 'size=60m', app];
  await engine.ok('run', ...sized, 'sh', '-c', opaque);
  original = await look();
});

after(async () => {
  await registry?.[Symbol.asyncDispose]();
  await engine?.[Symbol.asyncDispose]();
  disk?.[Symbol.dispose]();
});

async function up(...flags: string[]): Promise<void> {
  await engine.up(`--data-root=${root()}`, ...flags);
}

/** A tar of a file that has attributes. */
function markedTar(folder: string): Buffer {
  mkdirSync(join(folder, 'marked'));
  const file = join(folder, 'marked/file');
  writeFileSync(file, 'marked');
  execFileSync('setfattr', ['-n', 'user.note', '-v', 'kept', file]);
  // cap_net_raw+ep, capability.h's struct vfs_cap_data.
  const capability = '0x0100000200200000000000000000000000000000';
  execFileSync('setfattr', ['-n', 'security.capability', '-v', capability, file]);
  return execFileSync('tar', ['--xattrs', '--xattrs-include=*', '-C', folder, '-cf', '-', 'marked']);
}

function digestOf(output: string): string {
  return /digest: (\S+)/.exec(output)?.[1] ?? '';
}

/** What there is now, the containers' trees seen by copies that are started. */
async function look(): Promise<Shown> {
  const images = await engine.ok('images', '--no-trunc', '--format', '{{.ID}} {{.Repository}}:{{.Tag}}');
  const trees: string[] = [];
  let layers = '';
  for (const name of ['box', 'sized']) {
    await engine.ok('commit', name, 'look');
    if (name === 'box') layers = await engine.inspect('look', '{{json .RootFS.Layers}}');
    const flags = ['--rm', '--network=none', '-v', 'data:/volume'];
    trees.push((await engine.docker('run', ...flags, 'look', 'sh', '-c', list)).stdout);
    await engine.ok('rmi', 'look');
  }
  return { images, trees, diffs: await diffs(), layers };
}

async function diffs(): Promise<string[]> {
  return [await engine.ok('diff', 'box'), await engine.ok('diff', 'sized')];
}

/** Begins a migration; resolves at its end, or when it is killed at the first line that `killAt` finds. */
function migrate(
  driver: string,
  ...flags: string[]
): { readonly lines: string[]; readonly done: Promise<number>; kill(): void } {
  const argv = [entry, 'system', 'migrate', `--storage-driver=${driver}`, `--data-root=${root()}`, ...flags];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  createInterface({ input: child.stderr }).on('line', (line) => lines.push(line));
  return {
    lines,
    done: new Promise((resolve) => child.once('close', (code) => resolve(code ?? -1))),
    kill: () => child.kill('SIGKILL'),
  };
}

/** Kills a migration when it says that it has come so far. */
async function killMigration(driver: string, at: RegExp): Promise<string> {
  const migration = migrate(driver);
  const { lines, done } = migration;
  while (!lines.some((line) => at.test(line))) {
    const ended = await Promise.race([done, delay(5)]);
    assert.equal(ended, undefined, lines.join('\n'));
  }
  migration.kill();
  await done;
  return lines.join('\n');
}

async function worksOn(driver: string): Promise<void> {
  await up();
  assert.equal(await engine.ok('info', '--format', '{{.Driver}}'), driver);
  assert.deepEqual(await look(), original);
  assert.equal(digestOf(await engine.ok('push', app)), digest);
  await engine.ok('start', '-a', 'box');
}

test('what is moved has whiteouts, links and attributes', async () => {
  assert.match(original.diffs[0] ?? '', /D \/d\/g/);
  assert.match(original.diffs[1] ?? '', /A \/old\/fresh\nD \/old\/stale/);
  assert.match(original.trees[0] ?? '', /^new\/hard 2$/m);
  const marked = await engine.ok('cp', 'box:/marked', '-');
  assert.match(marked, /SCHILY\.xattr\.user\.note=kept/);
  assert.match(marked, /SCHILY\.xattr\.security\.capability=/);
});

test('a root that an engine uses is left alone', async () => {
  const { lines, done } = migrate('vfs');
  assert.notEqual(await done, 0);
  assert.match(lines.join('\n'), /another engine uses/);
});

test('a dry run says what is needed and does nothing', async () => {
  await engine.down();
  const { lines, done } = migrate('vfs', '--dry-run');
  assert.equal(await done, 0, lines.join('\n'));
  const [, bytes] =
    /erofs to vfs: \d+ layers, 2 containers, .*\((\d+) bytes\) needed/.exec(lines.join('\n')) ?? [];
  assert.ok(Number(bytes) > 1_000_000, lines.join('\n'));
  assert.ok(!existsSync(root('snapshots.migrating')));
  assert.deepEqual(readdirSync(root('snapshots')), ['erofs']);
});

for (const [index, to] of ring.slice(1).entries()) {
  const from = ring[index] ?? to;
  const at = killedAt[to];
  if (at) {
    test(`a migration from ${from} to ${to} that is killed leaves ${from} working`, async () => {
      await engine.down();
      assert.doesNotMatch(await killMigration(to, at), /^switched/m);
      await up();
      assert.equal(await engine.ok('info', '--format', '{{.Driver}}'), from);
      assert.deepEqual(await diffs(), original.diffs);
      await engine.ok('start', '-a', 'box');
      await engine.down();
      assert.ok(!existsSync(root('snapshots.migrating')));
    });
  }

  test(`images, stopped containers and volumes move from ${from} to ${to} as they are`, async () => {
    await engine.down();
    const first = killedBefore[to];
    if (first) await killMigration(to, first);
    const { lines, done } = migrate(to);
    assert.equal(await done, 0, lines.join('\n'));
    assert.ok(lines.includes(`switched from ${from} to ${to}`), lines.join('\n'));
    assert.deepEqual(readdirSync(root('snapshots')), [to]);
    assert.ok(!existsSync(root('snapshots.migrating')));
    await worksOn(to);
  });
}

test('a migration that is killed after its switch has moved all', async () => {
  await engine.down();
  await killMigration('btrfs', /^switched/);
  await up();
  assert.equal(await engine.ok('info', '--format', '{{.Driver}}'), 'btrfs');
  assert.deepEqual(await diffs(), original.diffs);
  await engine.down();
  assert.ok(!existsSync(root('snapshots.migrating')));
  await up();
});

test('what cannot be moved stops all of it before anything is done', async () => {
  await engine.ok('rmi', '-f', app);
  await engine.down();
  const { lines, done } = migrate('vfs');
  assert.notEqual(await done, 0);
  assert.match(lines.join('\n'), /nothing was moved/);
  assert.deepEqual(readdirSync(root('snapshots')), ['btrfs']);
  await up();
});
