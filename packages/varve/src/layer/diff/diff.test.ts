import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { check, fileType, mknodat, mountFilesystem, setXattr, unmount } from '../../linux/index.ts';
import { applyLayer } from '../apply-layer.ts';
import { readLayer } from '../read-layer.ts';
import { describeTree, TemporaryFolder } from '../testing/tree.ts';
import type { Change, DiffSource } from '../types.ts';
import { changes, writeLayer } from '../write-layer.ts';

const bash = (cwd: string, script: string): void => {
  execFileSync('/bin/bash', ['-ec', script], { cwd, stdio: 'pipe' });
};

/** A base, and what a container does to it. */
const baseScript = `
mkdir -p etc usr/bin var/lib/deep/er gone/sub re opaque/in keep
echo a > etc/a; echo b > etc/b; echo c > etc/c; ln etc/a usr/bin/hard; echo x > gone/sub/x
echo old > re/old; echo same > re/same; echo 1 > opaque/one; echo 2 > opaque/in/two; echo k > keep/k
echo d > var/lib/deep/er/f; echo big > usr/bin/prog; chmod 4755 usr/bin/prog; setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 usr/bin/prog
ln -s a etc/link; mkdir swap; echo s > swap/s; echo f > file; mknod node c 1 3
find . -exec touch -h -d '2020-01-01 00:00:00' {} +
`;
const changeScript = `
rm etc/b; rm -r gone; rm -r re; mkdir re; echo new > re/new; echo same > re/same
echo changed >> etc/a; chmod 600 etc/c; mkdir -p new/dir; echo n > new/dir/n; ln new/dir/n new/dir/m
setfattr -n user.k -v v new/dir; ln -sf b etc/link; rm -r swap; echo now-a-file > swap; rm file; mkdir file; echo in > file/in
rm -r opaque; mkdir opaque; mkfifo new/fifo; mknod new/dev b 8 0; chown 1000:1000 keep/k; touch -h -d '2021-01-01' node
echo tmp > tmp1; rm tmp1; echo é > new/é; : > new/.hidden; truncate -s 1M new/hole
`;
const expectedChanges: readonly string[] = [
  'modify /etc',
  'modify /etc/a',
  'delete /etc/b',
  'modify /etc/c',
  'modify /etc/link',
  'modify /file',
  'add /file/in',
  'delete /gone',
  'modify /keep',
  'modify /keep/k',
  'add /new',
  'add /new/.hidden',
  'add /new/dev',
  'add /new/dir',
  'add /new/dir/m',
  'add /new/dir/n',
  'add /new/fifo',
  'add /new/hole',
  'add /new/é',
  'modify /node',
  'modify /opaque',
  'delete /opaque/in',
  'delete /opaque/one',
  'modify /re',
  'add /re/new',
  'delete /re/old',
  'modify /re/same',
  'modify /swap',
];

interface Mounted extends Disposable {
  readonly lower: string;
  readonly upper: string;
  readonly merged: string;
  readonly folder: TemporaryFolder;
}

/** An overlay mount over a base, changed by a script, both unmounted at the end. */
function changedOverlay(base: string, change: string): Mounted {
  const folder = new TemporaryFolder();
  const at = (name: string): string => {
    mkdirSync(folder.join(name));
    return folder.join(name);
  };
  const [lower, upper, work, merged] = [at('lower'), at('upper'), at('work'), at('merged')];
  bash(lower, base);
  mountFilesystem(
    'overlay',
    [
      ['lowerdir+', lower],
      ['upperdir', upper],
      ['workdir', work],
      ['redirect_dir', 'off'],
      ['metacopy', 'off'],
      ['index', 'off'],
    ],
    merged,
  );
  const unmountAll = (): void => {
    unmount(merged);
    folder[Symbol.dispose]();
  };
  try {
    bash(merged, change);
  } catch (error) {
    unmountAll();
    throw error;
  }
  return { lower, upper, merged, folder, [Symbol.dispose]: unmountAll };
}

const shown = (list: readonly Change[]): string[] => list.map(({ kind, path }) => `${kind} ${path}`);

async function names(path: string): Promise<string[]> {
  const list: string[] = [];
  for await (const { entry } of readLayer({ path, compression: 'auto' })) list.push(entry.name.toString());
  return list;
}

const kernel = /^trusted\.overlay\./;

test('changes of an overlay mount are those docker diff shows', async () => {
  using m = changedOverlay(baseScript, changeScript);
  assert.deepEqual(
    shown(await changes({ kind: 'overlay', upper: m.upper, lowers: [m.lower] })),
    expectedChanges,
  );
});

test('changes between two trees are the same', async () => {
  using m = changedOverlay(baseScript, changeScript);
  assert.deepEqual(shown(await changes({ kind: 'trees', upper: m.merged, lower: m.lower })), expectedChanges);
  assert.deepEqual(await changes({ kind: 'trees', upper: m.lower, lower: m.lower }), []);
});

for (const kind of ['overlay', 'trees'] as const) {
  test(`the diff of a changed overlay mount (${kind}) gives the same tree elsewhere`, async () => {
    using m = changedOverlay(baseScript, changeScript);
    const source: DiffSource =
      kind === 'overlay'
        ? { kind, upper: m.upper, lowers: [m.lower] }
        : { kind, upper: m.merged, lower: m.lower };
    const blob = await writeLayer(source, m.folder.join('l'), 'gzip');
    const expected = describeTree(m.merged, { ignoreXattrs: kernel });

    bash(m.folder.path, 'cp -a lower full');
    const result = await applyLayer(
      { path: m.folder.join('l'), compression: 'gzip' },
      { root: m.folder.join('full'), whiteouts: 'apply' },
    );
    assert.equal(result.diffId, blob.diffId);
    assert.deepEqual(describeTree(m.folder.join('full')), expected, 'applied over a copy of the base');

    mkdirSync(m.folder.join('u2'));
    mkdirSync(m.folder.join('m2'));
    await applyLayer(
      { path: m.folder.join('l'), compression: 'gzip' },
      { root: m.folder.join('u2'), whiteouts: 'overlay' },
    );
    mountFilesystem(
      'overlay',
      [
        ['lowerdir+', m.folder.join('u2')],
        ['lowerdir+', m.lower],
      ],
      m.folder.join('m2'),
    );
    try {
      assert.deepEqual(
        describeTree(m.folder.join('m2'), { ignoreXattrs: kernel }),
        expected,
        'mounted over the base',
      );
    } finally {
      unmount(m.folder.join('m2'));
    }
  });
}

test('the layer of an overlay holds the upper folder entry for entry', async () => {
  using m = changedOverlay(baseScript, changeScript);
  await writeLayer({ kind: 'overlay', upper: m.upper, lowers: [m.lower] }, m.folder.join('l'), 'none');
  mkdirSync(m.folder.join('again'));
  await applyLayer(
    { path: m.folder.join('l'), compression: 'none' },
    { root: m.folder.join('again'), whiteouts: 'overlay' },
  );
  // Whiteouts have no times of their own; every new folder is opaque to the kernel, where it hides nothing.
  const comparable = (root: string): string[] =>
    describeTree(root, { ignoreXattrs: kernel }).map((line) =>
      line.includes('dev=0,0') ? (line.split(' ')[0] as string) : line,
    );
  assert.deepEqual(comparable(m.folder.join('again')), comparable(m.upper));
});

test('a layer names parents first, in byte order, and only whiteouts that hide something', async () => {
  using m = changedOverlay(
    'mkdir -p d; echo 1 > d/low; echo 2 > d-file',
    'mkdir a; echo > a/z; echo > a.b; mkdir -p new/deeper; rm d/low; rm d-file; echo x > d/tmp; rm d/tmp',
  );
  check(mknodat(-100, `${m.upper}/a/nothing-below`, fileType.characterDevice), 'mknodat', 'a');
  await writeLayer({ kind: 'overlay', upper: m.upper, lowers: [m.lower] }, m.folder.join('l'), 'none');
  assert.deepEqual(await names(m.folder.join('l')), [
    'a/',
    'a/z',
    'a.b',
    'd/',
    'd/.wh.low',
    '.wh.d-file',
    'new/',
    'new/deeper/',
  ]);
});

test('a whiteout is written when a deeper layer has the name, not when one between hides it', async () => {
  using folder = new TemporaryFolder();
  bash(
    folder.path,
    'mkdir -p l1/d l2/d l3 upper/d; echo > l1/d/a; echo > l1/d/b; echo > l1/c; mknod l2/d/a c 0 0; mknod l3/c c 0 0',
  );
  for (const name of ['d/a', 'd/b', 'c'])
    check(mknodat(-100, `${folder.path}/upper/${name}`, fileType.characterDevice), 'mknodat', name);
  const lowers = ['l3', 'l2', 'l1'].map((name) => folder.join(name));
  await writeLayer({ kind: 'overlay', upper: folder.join('upper'), lowers }, folder.join('l'), 'none');
  assert.deepEqual(await names(folder.join('l')), ['d/', 'd/.wh.b']);
  check(setXattr(folder.join('l2/d'), 'trusted.overlay.opaque', Buffer.from('y')), 'setxattr', 'd');
  await writeLayer({ kind: 'overlay', upper: folder.join('upper'), lowers }, folder.join('l4'), 'none');
  assert.deepEqual(await names(folder.join('l4')), ['d/'], 'an opaque folder between hides all below');
});

test('attributes of a nested overlay get their names back', async () => {
  using folder = new TemporaryFolder();
  mkdirSync(folder.join('upper/d'), { recursive: true });
  check(
    setXattr(folder.join('upper/d'), 'trusted.overlay.overlay.opaque', Buffer.from('y')),
    'setxattr',
    'd',
  );
  check(setXattr(folder.join('upper/d'), 'trusted.overlay.impure', Buffer.from('y')), 'setxattr', 'd');
  await writeLayer({ kind: 'overlay', upper: folder.join('upper'), lowers: [] }, folder.join('l'), 'none');
  for await (const { entry } of readLayer({ path: folder.join('l'), compression: 'none' })) {
    assert.deepEqual(
      entry.xattrs.map(({ name }) => name.toString()),
      ['trusted.overlay.opaque'],
    );
  }
});

test('an upper with redirects or reserved names is refused, and no file is left', async () => {
  using folder = new TemporaryFolder();
  mkdirSync(folder.join('upper/d'), { recursive: true });
  const write = (): Promise<unknown> =>
    writeLayer({ kind: 'overlay', upper: folder.join('upper'), lowers: [] }, folder.join('l'), 'gzip');
  check(setXattr(folder.join('upper/d'), 'trusted.overlay.redirect', Buffer.from('/x')), 'setxattr', 'd');
  await assert.rejects(write(), { code: 'OVERLAY_REDIRECT', kind: 'not-implemented' });
  bash(folder.path, 'rm -r upper/d; echo > upper/.wh.x');
  await assert.rejects(write(), { code: 'LAYER_RESERVED_NAME', kind: 'invalid' });
  assert.ok(!existsSync(folder.join('l')));
});

test('trees: a change that keeps size and whole-second mtime is found by its content', async () => {
  using folder = new TemporaryFolder();
  bash(
    folder.path,
    `mkdir a; echo one > a/f; echo two > a/g; touch -d '2020-01-01' a/f a/g; cp -a a b; echo ONE > b/f; touch -d '2020-01-01' b/f`,
  );
  await writeLayer(
    { kind: 'trees', upper: folder.join('b'), lower: folder.join('a') },
    folder.join('l'),
    'none',
  );
  assert.deepEqual(await names(folder.join('l')), ['f']);
});

test('trees: parents of a change come with it, a new hard link brings its partner', async () => {
  using folder = new TemporaryFolder();
  bash(
    folder.path,
    'mkdir -p a/x/y a/z; echo f > a/x/y/f; echo g > a/z/g; cp -a a b; echo changed > b/x/y/f; ln b/z/g b/z/h; touch -r a/z b/z',
  );
  await writeLayer(
    { kind: 'trees', upper: folder.join('b'), lower: folder.join('a') },
    folder.join('l'),
    'none',
  );
  assert.deepEqual(await names(folder.join('l')), ['x/', 'x/y/', 'x/y/f', 'z/', 'z/g', 'z/h']);
});

test('later times become SOURCE_DATE_EPOCH, so two builds give one digest', async () => {
  using folder = new TemporaryFolder();
  bash(
    folder.path,
    'mkdir a b; for d in a b; do echo 1 > $d/f; ln -s f $d/l; done; touch -d 2030-01-01 a/f; touch -d 2031-02-03T04:05:06.7 b/f',
  );
  const options = { maxMtime: 1_600_000_000 };
  const one = await writeLayer({ kind: 'trees', upper: folder.join('a') }, folder.join('1'), 'zstd', options);
  const two = await writeLayer({ kind: 'trees', upper: folder.join('b') }, folder.join('2'), 'zstd', options);
  assert.equal(one.digest, two.digest);
  assert.ok(readFileSync(folder.join('1')).equals(readFileSync(folder.join('2'))));
});

test('sockets are left out', async () => {
  using folder = new TemporaryFolder();
  mkdirSync(folder.join('a'));
  writeFileSync(folder.join('a/f'), 'x');
  check(mknodat(-100, folder.join('a/s'), fileType.socket | 0o644), 'mknodat', 's');
  cpSync(folder.join('a/f'), folder.join('a/g'));
  await writeLayer({ kind: 'trees', upper: folder.join('a') }, folder.join('l'), 'none');
  assert.deepEqual(await names(folder.join('l')), ['f', 'g']);
});
