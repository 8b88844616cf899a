import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createGzip, gzipSync, zstdCompressSync } from 'node:zlib';
import { applyLayer } from './apply-layer.ts';
import { encodeHeader } from './tar/writer.ts';
import { archive, entryBytes, file, folder, metadataOf } from './testing/archive.ts';
import { TemporaryFolder } from './testing/tree.ts';

const sha256 = (data: Buffer): string => `sha256:${createHash('sha256').update(data).digest('hex')}`;

function setUp(data: Buffer): TemporaryFolder & { readonly target: { root: string; whiteouts: 'overlay' } } {
  const temporary = new TemporaryFolder();
  writeFileSync(temporary.join('l'), data);
  mkdirSync(temporary.join('r'));
  return Object.assign(temporary, { target: { root: temporary.join('r'), whiteouts: 'overlay' as const } });
}

test('gives the DiffID of the whole uncompressed stream, with what follows the end', async () => {
  const tar = Buffer.concat([archive(file('f', 'x')), Buffer.alloc(7000), Buffer.from('rest')]);
  for (const data of [tar, gzipSync(tar), zstdCompressSync(tar)]) {
    using layer = setUp(data);
    const result = await applyLayer({ path: layer.join('l'), compression: 'auto' }, layer.target);
    assert.deepEqual(result, {
      diffId: sha256(tar),
      tarSize: tar.length,
      size: 1,
      entries: 1,
      impliedFolders: [],
    });
  }
});

test('a bomb is stopped at the limit, by size and by ratio', async () => {
  using layer = setUp(Buffer.alloc(0));
  const header = encodeHeader({ ...metadataOf(file('bomb')), size: 3 * 2 ** 30 });
  const gzip = createGzip({ level: 9 });
  const chunks: Buffer[] = [];
  gzip.on('data', (chunk: Buffer) => chunks.push(chunk));
  gzip.write(header);
  const zeros = Buffer.alloc(4 << 20);
  for (let i = 0; i < 32; i++) gzip.write(zeros);
  await new Promise<void>((resolve) => {
    gzip.end();
    gzip.on('end', resolve);
  });
  writeFileSync(layer.join('l'), Buffer.concat(chunks));
  const source = { path: layer.join('l'), compression: 'auto' } as const;
  await assert.rejects(applyLayer(source, layer.target, { limits: { maxBytes: 50 << 20 } }), {
    code: 'COMPRESSION_BOMB',
    kind: 'invalid',
  });
  assert.ok(statSync(layer.join('r/bomb')).size <= 51 << 20, 'it stops at the limit');
  await assert.rejects(applyLayer(source, layer.target, { limits: { ratioFrom: 20 << 20 } }), {
    code: 'COMPRESSION_BOMB',
  });
  await assert.rejects(applyLayer(source, layer.target), { code: 'TAR_TRUNCATED' });
  assert.ok(process.memoryUsage.rss() < 1 << 30, 'memory stays bounded');
});

test('a damaged or cut blob is refused, and the error comes through the thread whole', async () => {
  const data = gzipSync(archive(folder('d'), file('d/f', 'content'.repeat(10_000))));
  using layer = setUp(data.subarray(0, data.length - 20));
  const source = { path: layer.join('l'), compression: 'gzip' } as const;
  await assert.rejects(applyLayer(source, layer.target), {
    name: 'VarveError',
    kind: 'invalid',
    code: 'COMPRESSION_TRUNCATED',
    hint: /fetch/,
  });
  await assert.rejects(applyLayer({ path: layer.join('none'), compression: 'auto' }, layer.target), {
    code: 'ENOENT',
  });
  await assert.rejects(applyLayer(source, { root: layer.join('none'), whiteouts: 'overlay' }), {
    code: 'ENOENT',
  });
});

test('aborting stops in the middle of a file', async () => {
  using layer = setUp(Buffer.alloc(0));
  const fd = openSync(layer.join('l'), 'w');
  const size = 2 * 2 ** 30;
  writeSync(fd, encodeHeader({ ...metadataOf(file('big')), size }));
  writeSync(fd, Buffer.from('x'), 0, 1, 512 + size);
  closeSync(fd);
  const controller = new AbortController();
  const running = applyLayer({ path: layer.join('l'), compression: 'none' }, layer.target, {
    signal: controller.signal,
  });
  const deadline = Date.now() + 60_000;
  while (readdirSync(layer.join('r')).length === 0 && Date.now() < deadline) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  controller.abort();
  await assert.rejects(running, { kind: 'cancelled' });
  assert.ok(statSync(layer.join('r/big')).size < size);
  await assert.rejects(
    applyLayer({ path: layer.join('l'), compression: 'none' }, layer.target, { signal: controller.signal }),
    {
      kind: 'cancelled',
    },
  );
});

test('many layers at once all arrive', async () => {
  using layer = setUp(archive(...Array.from({ length: 50 }, (_, i) => file(`f${i}`, `content ${i}`))));
  await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      const root = layer.join(`r${i}`);
      mkdirSync(root);
      await applyLayer(
        { path: layer.join('l'), compression: 'none' },
        { root, whiteouts: i % 2 ? 'apply' : 'overlay' },
      );
      assert.equal(readFileSync(`${root}/f49`, 'utf8'), 'content 49');
    }),
  );
});

test('a full disk is said so', async () => {
  using layer = setUp(archive(file('f', Buffer.alloc(3 << 20, 1))));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'varve-test', layer.target.root]);
  try {
    await assert.rejects(applyLayer({ path: layer.join('l'), compression: 'none' }, layer.target), {
      kind: 'exhausted',
      code: 'NO_SPACE',
    });
  } finally {
    execFileSync('umount', [layer.target.root]);
  }
});

test('idle threads do not keep the process alive', () => {
  using layer = setUp(archive(file('f', 'x')));
  const script = `
    import { applyLayer } from ${JSON.stringify(fileURLToPath(new URL('./index.ts', import.meta.url)))};
    const r = await applyLayer({ path: ${JSON.stringify(layer.join('l'))}, compression: 'auto' }, ${JSON.stringify(layer.target)});
    process.stdout.write(String(r.entries));`;
  const ran = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    timeout: 20_000,
    encoding: 'utf8',
  });
  assert.equal(ran.status, 0, ran.stderr);
  assert.equal(ran.stdout, '1');
});

test('an entry’s content cannot be read as an entry, whatever the sizes say', async () => {
  const inner = entryBytes(file('../smuggled', 'x'));
  using layer = setUp(archive(file('outer', inner)));
  await applyLayer({ path: layer.join('l'), compression: 'none' }, layer.target);
  assert.deepEqual(readdirSync(layer.target.root), ['outer']);
  assert.ok(readFileSync(layer.join('r/outer')).equals(inner));
});
