/**
 * Images go from driver to driver, by a registry and by archives, and are the same images everywhere. devicemapper takes part
 * in the guest: `../guest/devicemapper-images.guest.ts`.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BtrfsDisk } from '../../src/linux/testing/index.ts';
import { busyboxTar, TestEngine } from '../engine/harness.ts';
import { startVarveRegistry } from '../support/host-process.ts';

const drivers = ['erofs', 'overlay2', 'overlay', 'aufs', 'vfs', 'btrfs'] as const;

const change =
  'echo more >>/data/file; rm /etc/group; ln /data/other /data/twin; ln -s /data /link; chmod 4755 /data/file; mkdir -p /new/deep; rm -r /var; mkdir /var; truncate -s 1M /data/holes';
const look =
  // Neither the number of names nor the size of a folder: those are the driver's and the disk's.
  "find /data /link /new /var /etc/passwd | sort | xargs stat -c '%n %F %a %u:%g %Y'; md5sum /data/*; ls /etc";

/** What is known of an image from the driver that made it. */
interface Known {
  readonly id: string;
  readonly digest: string;
  readonly seen: string;
}

/** Pushes an image under a name of its own. @returns the digest of its manifest. */
async function push(engine: TestEngine, image: string, reference: string): Promise<string> {
  await engine.ok('tag', image, reference);
  const said = await engine.ok('push', reference);
  await engine.ok('rmi', reference);
  return /digest: (sha256:[0-9a-f]{64})/.exec(said)?.[1] ?? assert.fail(said);
}

test('images pulled, built and committed under one driver have the same digests under every other', async () => {
  await using engine = await TestEngine.start();
  await using registry = await startVarveRegistry(engine.netns, join(engine.folder, 'registry'));
  using disk = new BtrfsDisk(2048);
  await engine.down();
  const context = join(engine.folder, 'context');
  mkdirSync(context);
  for (const name of ['file', 'other']) writeFileSync(join(context, name), name.repeat(1000));
  writeFileSync(
    join(context, 'Dockerfile'),
    `FROM busybox\nCOPY file other /data/\nRUN ${change.replaceAll(';', ' &&')}\n`,
  );
  const known = new Map<string, Known>();
  const learn = async (image: string): Promise<void> => {
    known.set(image, {
      id: await engine.inspect(image, '{{.Id}}'),
      digest: await push(engine, image, `${registry.host}/first/${image}`),
      seen: await engine.ok('run', '--rm', '--network=none', image, 'sh', '-c', look),
    });
  };
  const compare = async (image: string, what: string, reference: string): Promise<string> => {
    const { id, digest, seen } = known.get(image) ?? assert.fail(image);
    assert.equal(await engine.inspect(image, '{{.Id}}'), id, `${what}: id of ${image}`);
    assert.equal(await push(engine, image, reference), digest, `${what}: manifest of ${image}`);
    return seen;
  };

  /** What goes on in an archive: the image that all others stand on, and the last driver's. */
  const carried = (): string[] => ['built', [...known.keys()].at(-1) ?? ''];
  let before: string | undefined;
  // Twice the first: what the last driver commits comes back to it.
  for (const [turn, driver] of [...drivers, drivers[0]].entries()) {
    const root = join(driver === 'btrfs' ? disk.path : engine.folder, `root-${turn}`);
    await engine.up(`--storage-driver=${driver}`, `--data-root=${root}`);
    assert.equal(await engine.ok('info', '--format', '{{.Driver}}'), driver);
    for (const image of known.keys()) {
      await engine.ok('pull', `${registry.host}/first/${image}`);
      await engine.ok('tag', `${registry.host}/first/${image}`, image);
      await engine.ok('rmi', `${registry.host}/first/${image}`);
      const what = `pulled under ${driver}`;
      const seen = await compare(image, what, `${registry.host}/pulled-${turn}/${image}`);
      assert.equal(await engine.ok('run', '--rm', '--network=none', image, 'sh', '-c', look), seen, what);
    }
    if (before !== undefined) {
      await engine.ok('rmi', ...known.keys());
      await engine.ok('load', '-i', before);
      for (const image of carried())
        await compare(image, `loaded under ${driver}`, `${registry.host}/loaded-${turn}/${image}`);
    }
    if (turn === 0) {
      await engine.ok('import', '-c', 'CMD ["sh"]', busyboxTar(engine.folder), 'busybox');
      await engine.ok('build', '-t', 'built', context);
      await learn('built');
    }
    if (turn < drivers.length) {
      await engine.ok(
        'run',
        '--name',
        'box',
        '--network=none',
        'built',
        'sh',
        '-c',
        `${change}; date >/when`,
      );
      await engine.ok('commit', 'box', `committed-${driver}`);
      await engine.ok('rm', 'box');
      await learn(`committed-${driver}`);
      before = join(engine.folder, `saved-${turn}.tar`);
      await engine.ok('save', '-o', before, ...carried());
    }
    await engine.down();
  }
  assert.equal(known.size, 1 + drivers.length);
});
