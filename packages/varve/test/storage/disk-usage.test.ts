import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { busyboxTar, eventually, TestEngine } from '../engine/harness.ts';
import { engineCall } from '../support/engine-http.ts';

/** What the engine says of its disk. */
interface Usage {
  readonly LayersSize: number;
  readonly Images: readonly {
    readonly Id: string;
    readonly RepoTags: readonly string[];
    readonly Size: number;
    readonly SharedSize: number;
  }[];
  readonly Containers: readonly { readonly Names: readonly string[]; readonly SizeRw: number }[];
  readonly Volumes: readonly { readonly Name: string; readonly UsageData: { readonly Size: number } }[];
  readonly BuildCache: readonly { readonly Size: number }[];
  readonly DataRoot: {
    readonly TotalBytes: number;
    readonly Parts: readonly { readonly Part: string; readonly Bytes: number }[];
  };
}

async function usageOf(engine: TestEngine): Promise<Usage> {
  const { status, body } = await engineCall(engine.socket, 'GET', '/v1.51/system/df', Buffer.alloc(0));
  assert.equal(status, 200, body);
  return JSON.parse(body) as Usage;
}

const partOf = (usage: Usage, name: string): number =>
  usage.DataRoot.Parts.find(({ Part }) => Part === name)?.Bytes ?? 0;

/** du(1)'s word for the data root without the database, which every command changes. */
function diskUsed(engine: TestEngine): number {
  const root = join(engine.folder, 'root');
  const argv = ['-sx', '--block-size=1', '--exclude=state.db*', root];
  return Number(execFileSync('du', argv, { encoding: 'utf8' }).split('\t')[0]);
}

/** The engine deletes in the background. */
async function settled(engine: TestEngine, driver: string): Promise<void> {
  const trash = join(engine.folder, 'root/snapshots', driver, 'trash');
  const contexts = join(engine.folder, 'root/tmp');
  const empty = (folder: string): boolean => {
    try {
      return readdirSync(folder).length === 0;
    } catch {
      return true;
    }
  };
  await eventually('deletions are over', () => empty(trash) && empty(contexts));
}

/** The engine's numbers, when they agree with du's and among themselves. */
async function checked(engine: TestEngine, driver: string): Promise<Usage> {
  await settled(engine, driver);
  const usage = await usageOf(engine);
  const { TotalBytes, Parts } = usage.DataRoot;
  assert.equal(
    Parts.reduce((sum, { Bytes }) => sum + Bytes, 0),
    TotalBytes,
    'the parts add up',
  );
  assert.equal(TotalBytes - partOf(usage, 'database'), diskUsed(engine), 'the total is what du says');
  const images = partOf(usage, 'layers') + partOf(usage, 'indexes') + partOf(usage, 'blobs');
  assert.equal(usage.LayersSize, images);
  assert.equal(
    usage.Containers.reduce((sum, { SizeRw }) => sum + SizeRw, 0),
    partOf(usage, 'containers'),
  );
  assert.equal(
    usage.Volumes.reduce((sum, { UsageData }) => sum + UsageData.Size, 0),
    partOf(usage, 'volumes'),
  );
  assert.equal(
    usage.BuildCache.reduce((sum, { Size }) => sum + Size, 0),
    partOf(usage, 'build cache'),
  );
  return usage;
}

for (const driver of ['overlay2', 'erofs', 'overlay']) {
  test(`on ${driver} every byte is accounted for, and an image frees what was said`, async () => {
    await using engine = await TestEngine.start();
    await engine.down();
    rmSync(join(engine.folder, 'root'), { recursive: true });
    await engine.up(`--storage-driver=${driver}`);
    await engine.ok('import', '-c', 'CMD ["sh"]', busyboxTar(engine.folder), 'busybox');

    const write = (name: string, script: string): Promise<string> =>
      engine.ok('run', '--name', name, '--network', 'none', 'busybox', 'sh', '-c', script);
    await write(
      'one',
      'mkdir /a; dd if=/dev/urandom of=/a/big bs=1k count=700; ln /a/big /a/again; echo x >/a/small',
    );
    await engine.ok('commit', 'one', 'one');
    // A sparse file takes what it takes, and a link counts once.
    await write('two', 'truncate -s 300M /sparse; dd if=/dev/urandom of=/more bs=1k count=90; rm /bin/vi');
    await engine.ok('commit', 'two', 'two');
    await engine.ok('rm', 'one');
    await engine.ok('volume', 'create', 'data');
    await engine.ok(
      'run',
      '--rm',
      '-v',
      'data:/data',
      '--network',
      'none',
      'busybox',
      'cp',
      '/bin/sh',
      '/data/sh',
    );
    const context = join(engine.folder, 'context');
    mkdirSync(context);
    writeFileSync(
      join(context, 'Dockerfile'),
      'FROM busybox\nRUN head -c 50000 /dev/urandom >/built\nENV a=b\n',
    );
    await engine.ok('build', '-t', 'built', context);

    for (const name of ['one', 'built', 'two']) {
      if (name === 'two') await engine.ok('rm', 'two');
      const before = await checked(engine, driver);
      const image = before.Images.find(({ RepoTags }) => RepoTags.includes(`${name}:latest`));
      assert.ok(image);
      const unique = image.Size - image.SharedSize;
      assert.ok(image.SharedSize > 100_000, `${name} shares its base: ${image.SharedSize}`);
      if (name !== 'built') assert.ok(unique > 90 * 1024, `${name} has files of its own: ${unique}`);
      const used = diskUsed(engine);
      await engine.ok('rmi', name);
      await checked(engine, driver);
      assert.equal(used - diskUsed(engine), unique, `removing ${name} frees what was said`);
    }
    // What only the build cache held.
    const { BuildCache } = await checked(engine, driver);
    assert.ok(BuildCache.length > 0);
    await engine.ok('builder', 'prune', '-af');
    assert.equal(partOf(await checked(engine, driver), 'orphans'), 0);
  });
}
