import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { readLayer, scanLayer } from './read-layer.ts';
import { archive, file, folder } from './testing/archive.ts';
import { TemporaryFolder } from './testing/tree.ts';

const tar = archive(
  folder('./'),
  folder('etc/'),
  file('etc/.wh.gone'),
  file('/etc/x', 'content'),
  folder('d'),
  file('d/.wh..wh..opq'),
  file('.wh..wh.aufs'),
);
const expected = [
  ['entry', '/'],
  ['entry', '/etc'],
  ['whiteout', '/etc/gone'],
  ['entry', '/etc/x'],
  ['entry', '/d'],
  ['opaque', '/d'],
];

async function list(source: Parameters<typeof readLayer>[0]): Promise<string[][]> {
  const result: string[][] = [];
  for await (const { kind, path } of readLayer(source)) result.push([kind, path]);
  return result;
}

test('lists a layer’s entries, whiteouts and opaque folders, from a file or a stream', async () => {
  using temporary = new TemporaryFolder();
  for (const data of [tar, gzipSync(tar), zstdCompressSync(tar)]) {
    writeFileSync(temporary.join('l'), data);
    assert.deepEqual(await list({ path: temporary.join('l'), compression: 'auto' }), expected);
    const bytes = Array.from(data, (_, i) => data.subarray(i, i + 1));
    assert.deepEqual(await list({ stream: Readable.from(bytes), compression: 'auto' }), expected);
  }
  assert.deepEqual(await list({ stream: Readable.from([]), compression: 'auto' }), []);
});

test('a scan gives content and the DiffID, with the place of every entry', async () => {
  const contents = new Map<string, string>();
  let name = '';
  const result = await scanLayer(
    { stream: Readable.from([gzipSync(tar)]), compression: 'gzip' },
    {
      entry: (entry) => {
        name = entry.name.toString();
        assert.equal(tar.subarray(entry.headerOffset).indexOf(entry.name), 0);
        assert.equal(entry.dataOffset, entry.headerOffset + 512);
      },
      data: (slice) => void contents.set(name, (contents.get(name) ?? '') + slice.toString()),
    },
  );
  assert.deepEqual([...contents], [['/etc/x', 'content']]);
  assert.equal(result.diffId, `sha256:${createHash('sha256').update(tar).digest('hex')}`);
  assert.deepEqual([result.tarSize, result.entries], [tar.length, 7]);
});

test('stops early when the reader does, and on abort', async () => {
  let pulled = 0;
  async function* endless(): AsyncGenerator<Buffer> {
    for (;;) {
      pulled++;
      yield tar.subarray(0, 1024);
    }
  }
  for await (const { path } of readLayer({ stream: endless(), compression: 'none' })) {
    assert.equal(path, '/');
    break;
  }
  assert.ok(pulled < 5);
  const signal = AbortSignal.abort();
  await assert.rejects(
    async () => {
      for await (const entry of readLayer({ stream: endless(), compression: 'none' }, { signal }))
        assert.ok(entry);
    },
    { kind: 'cancelled' },
  );
});

test('reading a layer needs no root rights and loads no native library', () => {
  using temporary = new TemporaryFolder('/tmp');
  writeFileSync(temporary.join('l'), gzipSync(tar));
  chmodSync(temporary.path, 0o755);
  const index = JSON.stringify(fileURLToPath(new URL('./index.ts', import.meta.url)));
  const script = `
    import module from 'node:module';
    module.registerHooks({ resolve(name, context, next) { if (name === 'koffi') throw new Error('no native code here'); return next(name, context); } });
    const { readLayer } = await import(${index});
    let n = 0; for await (const entry of readLayer({ path: ${JSON.stringify(temporary.join('l'))}, compression: 'auto' })) n++;
    process.stdout.write(process.getuid() + ' ' + n);`;
  const ran = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    uid: 65_534,
    gid: 65_534,
    cwd: '/',
  });
  assert.equal(ran.stdout, '65534 6', ran.stderr);
});
