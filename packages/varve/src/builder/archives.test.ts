import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createReadStream, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isArchive } from './archives.ts';
import { unpackContext } from './index.ts';
import { raw } from './raw-path.ts';
import { BuildBench } from './testing/build-bench.ts';
import { TestFolder } from './testing/folder.ts';

const compressions = {
  tar: [],
  gz: ['--gzip'],
  bz2: ['--bzip2'],
  xz: ['--xz'],
  zst: ['--zstd'],
} as const;

/** A tar of a folder with one file owned by 7:8, in each compression. */
function archive(folder: TestFolder, name: string, compression: readonly string[]): string {
  const source = folder.write({ 'top/file': 'content' }, 'source');
  const path = join(folder.path, name);
  execFileSync('tar', ['-C', source, '--owner=7', '--group=8', ...compression, '-cf', path, 'top']);
  return path;
}

for (const [name, options] of Object.entries(compressions)) {
  test(`a ${name} context is unpacked`, async () => {
    using folder = new TestFolder();
    const path = archive(folder, 'context', options);
    assert.equal(await isArchive(raw(path)), true);
    const target = folder.write({}, 'target');
    const { kind } = await unpackContext(createReadStream(path, { highWaterMark: 100 }), target);
    assert.equal(kind, 'archive');
    assert.equal(readFileSync(join(target, 'top/file'), 'utf8'), 'content');
  });

  test(`ADD unpacks a ${name} archive by its content, whatever its name`, async () => {
    await using bench = await BuildBench.open();
    const context = bench.folder.write(
      { Dockerfile: 'FROM base\nADD data /opt\nADD --chown=1:2 data /owned/\n' },
      'context',
    );
    archive(bench.folder, 'context/data', options);
    assert.ok(lstatSync(join(context, 'data')).isFile());
    const { image } = await bench.run();
    await bench.inspect(image, (root) => {
      const owner = (file: string): string =>
        `${lstatSync(join(root, file)).uid}:${lstatSync(join(root, file)).gid}`;
      assert.equal(readFileSync(join(root, 'opt/top/file'), 'utf8'), 'content');
      assert.deepEqual([owner('opt/top/file'), owner('owned/top/file')], ['7:8', '1:2']);
    });
  });
}

test('what is compressed but no archive, and what COPY or --unpack=false say, stays a file', async () => {
  await using bench = await BuildBench.open();
  const dockerfile = 'FROM base\nADD text.gz /a/\nCOPY data.tar /b/\nADD --unpack=false data.tar /c/\n';
  const context = bench.folder.write({ Dockerfile: dockerfile, text: 'hello' }, 'context');
  execFileSync('gzip', [join(context, 'text')]);
  archive(bench.folder, 'context/data.tar', []);
  const { image } = await bench.run();
  await bench.inspect(image, (root) => {
    assert.deepEqual(
      ['a', 'b', 'c'].map((folder) => readdirSync(join(root, folder))),
      [['text.gz'], ['data.tar'], ['data.tar']],
    );
  });
});

test('an archive does not leave the image or the context', async () => {
  await using bench = await BuildBench.open();
  const outside = bench.folder.write({}, 'outside');
  const evil = bench.folder.write({}, 'evil');
  execFileSync('ln', ['-s', outside, join(evil, 'link')]);
  const path = join(bench.folder.path, 'evil.tar');
  execFileSync('tar', ['-C', evil, '-cf', path, 'link']);
  writeFileSync(join(bench.folder.path, 'payload'), 'x');
  const rename = ['--transform', 's,payload,link/payload,', '--transform', 's,other,../../../other,'];
  execFileSync('tar', ['-C', bench.folder.path, '-P', '-rf', path, ...rename, 'payload']);
  const context = bench.folder.write({ Dockerfile: 'FROM base\nADD evil.tar /x/\n' }, 'context');
  execFileSync('cp', [path, context]);
  await bench.run();
  const target = join(bench.folder.path, 'target');
  mkdirSync(target);
  await unpackContext(createReadStream(path), target).catch(() => undefined);
  assert.deepEqual(readdirSync(outside), []);
});

test('a damaged archive is an error, a lone text is the Dockerfile', async () => {
  using folder = new TestFolder();
  for (const [name, options] of Object.entries(compressions)) {
    const bytes = readFileSync(archive(folder, 'good', options));
    if (name === 'tar') continue;
    bytes.fill(0xff, 20, 60);
    const target = folder.write({}, `target-${name}`);
    await assert.rejects(unpackContext(one(bytes), target), { kind: 'invalid' }, name);
  }
  const target = folder.write({}, 'target');
  const { kind } = await unpackContext(one(Buffer.from('FROM scratch\n')), target);
  assert.equal(kind, 'dockerfile');
  assert.equal(readFileSync(join(target, 'Dockerfile'), 'utf8'), 'FROM scratch\n');
});

async function* one(data: Buffer): AsyncGenerator<Uint8Array> {
  yield data;
}
