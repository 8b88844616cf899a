import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { applyLayer } from '../apply-layer.ts';
import { packTree } from '../pack-tree.ts';
import { describeTree, TemporaryFolder } from '../testing/tree.ts';
import { writeLayer } from '../write-layer.ts';

/** A tree with all that an archive can hold. GNU tar keeps atime of nothing, so only what a layer carries is in it. */
const script = `
long=$(printf 'n%.0s' $(seq 1 200))
mkdir -p t/dir/sub t/"with space" t/$long/$long/$long
echo plain > t/dir/plain; : > t/dir/empty; head -c 300000 /dev/urandom > t/dir/random
echo deep > t/$long/$long/$long/$long
ln t/dir/plain t/dir/hard1; ln t/dir/plain t/zhard2; ln -s plain t/dir/link; ln -s /etc/passwd t/dir/absolute
ln -s $long/$long/$long/nowhere t/dir/longlink; ln t/dir/link t/dir/hardlink-to-link
mkfifo -m 640 t/dir/fifo; mknod -m 666 t/dir/null c 1 3; mknod -m 660 t/dir/block b 259 1048575
echo u > t/dir/suid; chown 1000:2000 t/dir/suid; chmod 6755 t/dir/suid
echo b > t/dir/bigid; chown 3000000:4000000 t/dir/bigid
chmod 1777 t/"with space"; chmod 0500 t/dir/sub; chmod 000 t/dir/empty
setfattr -n user.text -v value t/dir/plain; setfattr -n user.bytes -v 0x00ff8000fe t/dir/sub
setfattr -n user.large -v 0x$(head -c 3000 /dev/urandom | od -An -tx1 | tr -d ' \\n') t/dir/random
setfattr -n trusted.thing -v x t/dir/random; setfattr -h -n trusted.onlink -v y t/dir/link
setfattr -n security.capability -v 0x0100000200240000000000000000000000000000 t/dir/random
setfattr -n system.posix_acl_access -v 0x0200000001000600ffffffff02000700d204000004000400ffffffff10000700ffffffff20000400ffffffff t/dir/plain
setfattr -n system.posix_acl_default -v 0x0200000001000700ffffffff02000700d204000004000500ffffffff10000700ffffffff20000500ffffffff t/dir
truncate -s 40M t/sparse; printf middle | dd of=t/sparse bs=1 seek=20000000 conv=notrunc status=none
touch -h -d '1969-12-31 23:59:58.25' t/dir/link; touch -d '1960-02-03 04:05:06.123456789' t/dir/random
touch -d '2200-01-01 00:00:00.5' t/dir/suid; touch -d '2020-02-02 02:02:02.000000002' t/dir/sub
touch -d '2001-02-03 04:05:06.7' t/dir t/$long t
`;

function makeTree(root: TemporaryFolder): void {
  execFileSync('/bin/bash', ['-ec', script], { cwd: root.path });
  writeFileSync(Buffer.from(`${root.path}/t/dir/bytes-\xff\xfe\x01`, 'latin1'), 'not utf-8');
}

const xattrs = ['--xattrs', '--xattrs-include=*'];
const extract = ['-x', ...xattrs, '--numeric-owner', '--same-owner', '-p'];

const forms: readonly (readonly [string, readonly string[]])[] = [
  ['a pax archive', ['--format=pax', ...xattrs]],
  ['a sparse pax archive', ['--format=pax', '--sparse', ...xattrs]],
  ['a GNU archive', ['--format=gnu', '--sparse']],
];

for (const [name, options] of forms) {
  test(`${name} unpacks as GNU tar unpacks it`, async () => {
    using root = new TemporaryFolder();
    makeTree(root);
    execFileSync('tar', ['-cf', root.join('t.tar'), ...options, '-C', root.path, 't']);
    mkdirSync(root.join('gnu'));
    execFileSync('tar', ['-f', root.join('t.tar'), ...extract, '-C', root.join('gnu')], { stdio: 'pipe' });
    const expected = describeTree(root.join('gnu'));
    const listed = execFileSync('tar', ['-tf', root.join('t.tar')])
      .toString()
      .trimEnd()
      .split('\n');
    const tar = readFileSync(root.join('t.tar'));
    for (const [whiteouts, packed] of [
      ['overlay', tar],
      ['apply', gzipSync(tar)],
      ['overlay', zstdCompressSync(tar)],
    ] as const) {
      const out = mkdtempSync(root.join('out-'));
      writeFileSync(root.join('blob'), packed);
      const result = await applyLayer(
        { path: root.join('blob'), compression: 'auto' },
        { root: out, whiteouts },
      );
      assert.deepEqual(describeTree(out), expected, whiteouts);
      assert.equal(result.entries, listed.length);
      if (options.includes('--sparse')) {
        assert.ok(statSync(`${out}/t/sparse`).blocks * 512 < 1 << 20, 'holes stay holes');
      }
    }
  });
}

for (const compression of ['none', 'gzip', 'zstd'] as const) {
  test(`a tree written as a layer (${compression}) unpacks to the same tree, by us and by GNU tar`, async () => {
    using root = new TemporaryFolder();
    makeTree(root);
    const expected = describeTree(root.path);
    using blobs = new TemporaryFolder();
    const blob = await writeLayer({ kind: 'trees', upper: root.path }, blobs.join('l'), compression, {
      sparse: true,
    });
    assert.equal(statSync(blobs.join('l')).size, blob.blobSize);
    assert.equal(
      execFileSync('sha256sum', [blobs.join('l')])
        .toString()
        .split(' ')[0],
      blob.digest.slice(7),
    );
    mkdirSync(blobs.join('ours'));
    const result = await applyLayer(
      { path: blobs.join('l'), compression },
      { root: blobs.join('ours'), whiteouts: 'overlay' },
    );
    assert.deepEqual(describeTree(blobs.join('ours')), expected, 'by us');
    assert.equal(result.diffId, blob.diffId);
    assert.deepEqual([result.size, result.tarSize, result.entries], [blob.size, blob.tarSize, blob.entries]);
    mkdirSync(blobs.join('gnu'));
    const written = readFileSync(blobs.join('l'));
    const plain = {
      none: () => written,
      gzip: () => gunzipSync(written),
      zstd: () => zstdDecompressSync(written),
    };
    execFileSync('tar', [...extract, '-C', blobs.join('gnu')], {
      input: plain[compression](),
      stdio: 'pipe',
    });
    assert.deepEqual(describeTree(blobs.join('gnu')), expected, 'by GNU tar');
    const again = await writeLayer(
      { kind: 'trees', upper: blobs.join('ours') },
      blobs.join('l2'),
      compression,
      { sparse: true },
    );
    assert.equal(again.digest, blob.digest, 'an equal tree gives an equal digest');
  });
}

test('a packed tree is the tree', async () => {
  using root = new TemporaryFolder();
  using other = new TemporaryFolder();
  makeTree(root);
  await pipeline(packTree(root.path, [{ path: '' }]), createWriteStream(other.join('t.tar')));
  mkdirSync(other.join('x'));
  execFileSync('tar', ['-f', other.join('t.tar'), ...extract, '-C', other.join('x')], { stdio: 'pipe' });
  assert.deepEqual(describeTree(other.join('x')), describeTree(root.path));
});
