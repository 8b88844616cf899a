import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { archive, file } from '../../src/layer/testing/archive.ts';
import { entry, TestEngine } from '../engine/harness.ts';
import { holdings } from '../support/data-root.ts';
import { startBeside } from '../support/host-process.ts';
import { makeImage, ociArchive } from '../support/made-image.ts';

test('images pulled at once share the work: each blob is fetched once and each layer kept once', async () => {
  await using engine = await TestEngine.start();
  const log = join(engine.folder, 'access.log');
  const serve = `exec env REGISTRY_LOG_LEVEL=info "$1" "$2" registry serve --addr=127.0.0.1:0 --root="$3" 2>"$4"`;
  const words = [process.execPath, entry, join(engine.folder, 'registry'), log];
  await using registry = await startBeside(engine.netns, 'sh', '-c', serve, 'sh', ...words);
  const host = registry.firstLine.replace(/^.*http:\/\//, '').replace(/\/.*$/, '');

  const layer = (name: string): Buffer => archive(file(name, randomBytes(6_000_000)));
  const [first, second] = [layer('first'), layer('second')];
  const names = ['one', 'two', 'three'].map((name) => `${host}/${name}:1`);
  for (const name of names) {
    const path = join(engine.folder, 'image.tar');
    writeFileSync(path, ociArchive(makeImage([first, second, layer(name.replaceAll(/\W/g, '-'))]), name));
    await engine.ok('load', '-i', path);
    await engine.ok('push', name);
  }
  await engine.ok('rmi', ...names);
  const before = readFileSync(log, 'utf8').length;
  await Promise.all(names.map((name) => engine.ok('pull', name)));

  const fetched = new Map<string, number>();
  for (const [, digest = ''] of readFileSync(log, 'utf8')
    .slice(before)
    .matchAll(/"method":"GET"[^\n]*?\/blobs\/(sha256:[0-9a-f]{64})/g))
    fetched.set(digest, (fetched.get(digest) ?? 0) + 1);
  // Three configs, two layers that all have, and one of each.
  assert.equal(fetched.size, 8, JSON.stringify([...fetched]));
  assert.deepEqual(
    [...fetched].filter(([, count]) => count !== 1),
    [],
  );
  const { snapshots } = holdings(join(engine.folder, 'root'));
  // The two shared ones, one of each, and busybox's.
  assert.equal(snapshots?.length, 6);
  assert.equal((await engine.ok('images', '-q')).split('\n').length, 4);
});
