import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { extractTar } from './extract-tar.ts';
import { fileIdentity } from './file-identity.ts';
import { packTree } from './pack-tree.ts';
import { archive, file, folder, symlink } from './testing/archive.ts';
import { describeTree, TemporaryFolder } from './testing/tree.ts';

/** A stream of small pieces. */
function pieces(data: Buffer, size = 1000): Readable {
  const list: Buffer[] = [];
  for (let at = 0; at < data.length; at += size) list.push(data.subarray(at, at + size));
  return Readable.from(list);
}

function root(...names: readonly string[]): TemporaryFolder {
  const temporary = new TemporaryFolder();
  for (const name of names) mkdirSync(temporary.join(name), { recursive: true });
  return temporary;
}

async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function listed(stream: Readable): Promise<string[]> {
  return execFileSync('tar', ['-t'], { input: await collect(stream) })
    .toString()
    .trimEnd()
    .split('\n');
}

test('extracts a stream below a path of the root, with .wh. names as they are', async () => {
  using temporary = root('r');
  const data = gzipSync(archive(folder('d'), file('d/.wh.x', '1'), file('top', '2'), folder('./', 0o700)));
  const result = await extractTar(pieces(data), { root: temporary.join('r'), path: '/a/b' });
  assert.deepEqual(result, { size: 2, entries: 4, hashes: new Map() });
  assert.equal(readFileSync(temporary.join('r/a/b/d/.wh.x'), 'utf8'), '1');
  assert.equal(lstatSync(temporary.join('r')).mode & 0o777, 0o755, 'the root’s own entry is passed over');
});

test('hashes files on their way, as they are in the end', async () => {
  using temporary = root('r');
  const big = randomBytes(3_000_000);
  // The same name twice, size and time alike: the second file may get the first one's inode.
  const data = archive(file('f', 'first'), file('f', 'other'), file('empty', ''), file('big', big));
  const target = { root: temporary.join('r'), hashFiles: true };
  const { hashes } = await extractTar(pieces(data, 70_000), target);
  for (const name of ['f', 'empty', 'big']) {
    const path = temporary.join('r', name);
    const expected = createHash('sha256').update(readFileSync(path)).digest('hex');
    assert.equal(hashes.get(fileIdentity(lstatSync(path, { bigint: true }))), expected, name);
  }
});

test('a path through a link of the container stays in the container', async () => {
  using temporary = root('r', 'outside');
  symlinkSync('/', temporary.join('r/rootlink'));
  symlinkSync(temporary.join('outside'), temporary.join('r/out'));
  await extractTar(pieces(archive(file('f', 'x'))), { root: temporary.join('r'), path: 'rootlink/etc' });
  assert.equal(readFileSync(temporary.join('r/etc/f'), 'utf8'), 'x');
  await extractTar(pieces(archive(file('f', 'x'))), { root: temporary.join('r'), path: 'out' });
  assert.deepEqual(readdirSync(temporary.join('outside')), []);
  await extractTar(pieces(archive(file('../../f2', 'x'))), { root: temporary.join('r'), path: 'etc' });
  assert.ok(existsSync(temporary.join('r/etc/f2')), 'names climb no higher than the path');
});

test('noOverwriteDirNonDir keeps folders and files apart', async () => {
  using temporary = root('r/d');
  writeFileSync(temporary.join('r/f'), 'x');
  const target = { root: temporary.join('r'), noOverwriteDirNonDir: true };
  await assert.rejects(
    extractTar(pieces(archive(file('d', 'x'))), target),
    /cannot overwrite directory "d" with non-directory/,
  );
  await assert.rejects(
    extractTar(pieces(archive(folder('f'))), target),
    /cannot overwrite non-directory "f" with directory/,
  );
  await extractTar(pieces(archive(file('d', 'x'))), { root: temporary.join('r') });
  assert.ok(lstatSync(temporary.join('r/d')).isFile());
});

test('an owner for everything', async () => {
  using temporary = root('r');
  await extractTar(pieces(archive(folder('d'), file('d/f'), symlink('d/l', 'f'))), {
    root: temporary.join('r'),
    owner: { uid: 12, gid: 34 },
  });
  for (const name of ['d', 'd/f', 'd/l']) {
    const { uid, gid } = lstatSync(temporary.join('r', name));
    assert.deepEqual([uid, gid], [12, 34], name);
  }
});

test('errors end the extraction with the source still flowing', async () => {
  using temporary = root('r');
  const endless = Readable.from(
    (function* (): Generator<Buffer> {
      yield archive(file('ok', 'x')).subarray(0, 1024);
      for (;;) yield Buffer.alloc(65_536, 0x61);
    })(),
  );
  await assert.rejects(extractTar(endless, { root: temporary.join('r') }), { code: 'TAR_BAD_CHECKSUM' });
  assert.ok(endless.destroyed);
  const controller = new AbortController();
  const stalled = new Readable({ read: () => undefined });
  stalled.push(archive(file('f', 'x')));
  const running = extractTar(stalled, { root: temporary.join('r') }, { signal: controller.signal });
  setImmediate(() => controller.abort());
  await assert.rejects(running, { kind: 'cancelled' }, 'though the source stalls');
  assert.ok(stalled.destroyed);
});

test('packs files and folders under the names asked for', async () => {
  using temporary = root('r/etc/sub', 'outside');
  const r = temporary.join('r');
  writeFileSync(temporary.join('r/etc/passwd'), 'inside');
  writeFileSync(temporary.join('r/etc/sub/f'), 'f');
  writeFileSync(temporary.join('outside/secret'), 'secret');
  symlinkSync('/etc', temporary.join('r/abs'));
  symlinkSync('../../../../..', temporary.join('r/up'));
  symlinkSync(temporary.join('outside'), temporary.join('r/out'));
  assert.deepEqual(await listed(packTree(r, [{ path: '/etc', name: 'copy' }])), [
    'copy/',
    'copy/passwd',
    'copy/sub/',
    'copy/sub/f',
  ]);
  assert.deepEqual(await listed(packTree(r, [{ path: 'etc/.', name: '.' }])), [
    './',
    './passwd',
    './sub/',
    './sub/f',
  ]);
  assert.deepEqual(await listed(packTree(r, [{ path: 'etc', name: '' }])), ['passwd', 'sub/', 'sub/f']);
  assert.deepEqual(await listed(packTree(r, [{ path: 'abs/passwd' }, { path: 'up/etc/sub' }])), [
    'abs/passwd',
    'up/etc/sub/',
    'up/etc/sub/f',
  ]);
  assert.deepEqual(await listed(packTree(r, [{ path: 'abs' }])), ['abs'], 'the last link is not followed');
  await assert.rejects(collect(packTree(r, [{ path: 'out/secret' }])), { kind: 'not-found' });
  await assert.rejects(collect(packTree(r, [{ path: '../outside/secret' }])), { kind: 'not-found' });
});

test('a large tree goes through pack and extract unchanged', async () => {
  using temporary = root('r/a', 'x');
  for (let i = 0; i < 400; i++) writeFileSync(temporary.join(`r/a/file-${i}`), Buffer.alloc(i * 60, i));
  await extractTar(packTree(temporary.join('r'), [{ path: '' }]), { root: temporary.join('x') });
  assert.deepEqual(describeTree(temporary.join('x')), describeTree(temporary.join('r')));
});

test('destroying the stream stops the packing; the next one works', async () => {
  using temporary = root('r');
  writeFileSync(temporary.join('r/big'), Buffer.alloc(30 << 20));
  const stream = packTree(temporary.join('r'), [{ path: '' }]);
  await assert.rejects(
    pipeline(
      stream,
      async function* (source: AsyncIterable<Buffer>) {
        for await (const chunk of source) {
          yield chunk.length;
          throw new Error('enough');
        }
      },
      async (sizes: AsyncIterable<number>) => {
        for await (const size of sizes) assert.ok(size > 0);
      },
    ),
    /enough/,
  );
  assert.deepEqual(await listed(packTree(temporary.join('r'), [{ path: '' }])), ['big']);
});

test('a hundred streams at once share the threads', async () => {
  using temporary = root('r');
  writeFileSync(temporary.join('r/f'), Buffer.alloc(100_000, 7));
  await Promise.all(
    Array.from({ length: 100 }, async (_, i) => {
      const out = temporary.join(`o${i}`);
      await pipeline(packTree(temporary.join('r'), [{ path: '' }]), createWriteStream(out));
      mkdirSync(`${out}.d`);
      await extractTar(createReadStream(out), { root: `${out}.d` });
      assert.equal(readFileSync(`${out}.d/f`).length, 100_000);
    }),
  );
});
