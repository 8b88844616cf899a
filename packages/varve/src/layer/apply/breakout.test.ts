import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { applyLayer } from '../apply-layer.ts';
import { type ArchiveEntry, archive, file, folder, hardlink, symlink } from '../testing/archive.ts';
import { describeTree, TemporaryFolder } from '../testing/tree.ts';

/*
 * The breakout table of containerd (archive/tar_test.go), case by case under its names, then more of our own. Every case is
 * applied over a base, below a host folder that must not change.
 */

const etc = [folder('etc', 0o770), file('/etc/passwd', 'inside')];
const users = [folder('etc'), file('etc/passwd', 'all users')];
const whitedOut = [...users, file('etc/whitedout', 'ahhhh whiteout'), symlink('localetc', '/etc')];

interface Case {
  readonly name: string;
  readonly base?: readonly ArchiveEntry[];
  readonly layer: readonly ArchiveEntry[];
  /** Code of the error; otherwise it must succeed. */
  readonly refused?: string;
  readonly check?: (root: string) => void;
}

/** Both names are one file, resolved inside the root. */
function same(a: string, b: string): (root: string) => void {
  return (root) => {
    const inside = (name: string): string => `${root}/${name.replace('localetc/', 'etc/')}`;
    const [one, two] = [lstatSync(`${root}/${a}`), lstatSync(inside(b))];
    assert.equal(one.ino, two.ino, `${a} is ${b}`);
    assert.equal(readFileSync(`${root}/${a}`, 'utf8'), 'inside');
  };
}

/** The target of a link to a link: both are the link. */
function sameLink(a: string, b: string): (root: string) => void {
  return (root) => {
    assert.ok(lstatSync(`${root}/${a}`).isSymbolicLink());
    assert.equal(lstatSync(`${root}/${a}`).ino, lstatSync(`${root}/${b}`).ino);
  };
}

function content(name: string, text: string): (root: string) => void {
  return (root) => assert.equal(readFileSync(`${root}/${name}`, 'utf8'), text);
}

function missing(name: string): (root: string) => void {
  return (root) => assert.throws(() => lstatSync(`${root}/${name}`), { code: 'ENOENT' });
}

const both =
  (...checks: readonly ((root: string) => void)[]): ((root: string) => void) =>
  (root) => {
    for (const check of checks) check(root);
  };

const cases: readonly Case[] = [
  {
    name: 'SymlinkAbsolute',
    layer: [...etc, symlink('localetc', '/etc'), file('/localetc/unbroken', 'x')],
    check: content('etc/unbroken', 'x'),
  },
  {
    name: 'SymlinkUpAndOut',
    layer: [...etc, symlink('localetc', '../etc'), file('/localetc/unbroken', 'x')],
    check: content('etc/unbroken', 'x'),
  },
  {
    name: 'SymlinkMultipleAbsolute',
    layer: [
      folder('etc'),
      symlink('localetc', '/etc'),
      folder('/localetc'),
      symlink('/localetc/localetc', '/etc'),
      file('/localetc/unbroken', 'x'),
    ],
    check: content('localetc/unbroken', 'x'),
  },
  {
    name: 'SymlinkMultipleRelative',
    layer: [
      folder('etc'),
      symlink('localetc', '/etc'),
      folder('/localetc'),
      symlink('/localetc/localetc', '../../etc'),
      file('/localetc/unbroken', 'x'),
    ],
    check: content('localetc/unbroken', 'x'),
  },
  {
    name: 'SymlinkEmptyFile',
    layer: [
      folder('etc'),
      file('etc/emptied', 'notempty'),
      symlink('localetc', '/etc'),
      file('/localetc/emptied', ''),
    ],
    check: content('etc/emptied', ''),
  },
  {
    name: 'HardlinkRelative',
    layer: [
      ...etc,
      folder('breakouts'),
      symlink('breakouts/d1', '../../etc'),
      hardlink('breakouts/mypasswd', '/breakouts/d1/passwd'),
    ],
    check: same('breakouts/mypasswd', 'etc/passwd'),
  },
  {
    name: 'HardlinkDownAndOut',
    layer: [
      ...etc,
      folder('breakouts'),
      folder('downandout'),
      symlink('breakouts/d1', '../downandout/../../etc'),
      hardlink('breakouts/mypasswd', '/breakouts/d1/passwd'),
    ],
    check: same('breakouts/mypasswd', 'etc/passwd'),
  },
  {
    name: 'HardlinkAbsolute',
    layer: [...etc, symlink('localetc', '/etc'), hardlink('localpasswd', '/localetc/passwd')],
    check: same('localpasswd', 'etc/passwd'),
  },
  {
    name: 'HardlinkRelativeLong',
    layer: [
      ...etc,
      symlink('localetc', '../../../../../../../etc'),
      hardlink('localpasswd', '/localetc/passwd'),
    ],
    check: same('localpasswd', 'etc/passwd'),
  },
  {
    name: 'HardlinkRelativeUpAndOut',
    layer: [
      ...etc,
      symlink('localetc', 'upandout/../../../etc'),
      hardlink('localpasswd', '/localetc/passwd'),
    ],
    check: same('localpasswd', 'etc/passwd'),
  },
  {
    name: 'HardlinkDirectRelative',
    layer: [...etc, hardlink('localpasswd', '../../../../../etc/passwd')],
    check: same('localpasswd', 'etc/passwd'),
  },
  {
    name: 'HardlinkDirectAbsolute',
    layer: [...etc, hardlink('localpasswd', '/etc/passwd')],
    check: same('localpasswd', 'etc/passwd'),
  },
  {
    name: 'SymlinkParentDirectory',
    layer: [...etc, symlink('..', '/etc/'), hardlink('localpasswd', '/etc/passwd')],
    check: same('localpasswd', 'etc/passwd'),
  },
  {
    name: 'SymlinkEmptyFilename',
    layer: [...etc, symlink('./', '/etc/'), hardlink('localpasswd', '/etc/passwd')],
    check: same('localpasswd', 'etc/passwd'),
  },
  {
    name: 'SymlinkParentRelative',
    layer: [...etc, symlink('localetc/sub/..', '/etc/'), hardlink('/localetc/localpasswd', '/etc/passwd')],
    check: same('etc/localpasswd', 'etc/passwd'),
  },
  {
    name: 'SymlinkSlashEnded',
    layer: [...etc, folder('localetc/', 0o770), hardlink('/localetc/localpasswd', '/etc/passwd')],
    check: same('localetc/localpasswd', 'etc/passwd'),
  },
  {
    name: 'SymlinkOverrideDirectory',
    base: [...etc, folder('localetc')],
    layer: [symlink('localetc', '/etc'), hardlink('/localetc/localpasswd', '/etc/passwd')],
    check: same('etc/localpasswd', 'etc/passwd'),
  },
  {
    name: 'SymlinkOverrideDirectoryRelative',
    base: [...etc, folder('localetc')],
    layer: [symlink('localetc', '../../etc'), hardlink('/localetc/localpasswd', '/etc/passwd')],
    check: same('etc/localpasswd', 'etc/passwd'),
  },
  {
    name: 'DirectoryOverrideSymlink',
    base: [...etc, symlink('localetc', '/etc')],
    layer: [folder('/localetc/'), hardlink('/localetc/localpasswd', '/etc/passwd')],
    check: (root) => {
      assert.ok(lstatSync(`${root}/localetc`).isDirectory());
      assert.equal(lstatSync(`${root}/localetc/localpasswd`).ino, lstatSync(`${root}/etc/passwd`).ino);
    },
  },
  {
    name: 'DirectoryOverrideSymlinkAndHardlink',
    base: [...etc, symlink('localetc', 'etc'), hardlink('/localetc/localpasswd', '/etc/passwd')],
    layer: [folder('/localetc/'), file('/localetc/localpasswd', 'different')],
    check: both(content('localetc/localpasswd', 'different'), content('etc/passwd', 'inside')),
  },
  { name: 'WhiteoutRootParent', base: etc, layer: [file('.wh...')], refused: 'TAR_BAD_WHITEOUT' },
  { name: 'WhiteoutParent', base: etc, layer: [file('etc/.wh...')], refused: 'TAR_BAD_WHITEOUT' },
  { name: 'WhiteoutRoot', base: etc, layer: [file('.wh..')], refused: 'TAR_BAD_WHITEOUT' },
  { name: 'WhiteoutCurrentDirectory', base: etc, layer: [file('etc/.wh..')], refused: 'TAR_BAD_WHITEOUT' },
  {
    name: 'WhiteoutSymlink',
    base: [...users, symlink('localetc', '/etc')],
    layer: [file('.wh.localetc')],
    check: both(content('etc/passwd', 'all users'), missing('localetc')),
  },
  {
    name: 'WhiteoutSymlinkPath',
    base: whitedOut,
    layer: [file('localetc/.wh.whitedout')],
    check: both(content('etc/passwd', 'all users'), missing('etc/whitedout')),
  },
  {
    name: 'WhiteoutDirectoryName',
    base: whitedOut,
    layer: [file('.wh.etc/somefile', 'non-empty')],
    check: both(content('etc/passwd', 'all users'), content('.wh.etc/somefile', 'non-empty')),
  },
  {
    name: 'WhiteoutDeadSymlinkParent',
    base: [...users, symlink('localetc', '/dne')],
    layer: [file('localetc/.wh.etc')],
    check: content('etc/passwd', 'all users'),
  },
  {
    name: 'WhiteoutRelativePath',
    base: [...users, symlink('localetc', '/dne')],
    layer: [file('dne/../.wh.etc')],
    check: missing('etc'),
  },
  {
    name: 'HardlinkSymlinkBeforeCreateTarget',
    layer: [
      folder('etc', 0o770),
      symlink('localpasswd', '/etc/passwd'),
      hardlink('localpasswd-dup', 'localpasswd'),
      file('/etc/passwd', 'after'),
    ],
    check: both(sameLink('localpasswd-dup', 'localpasswd'), content('etc/passwd', 'after')),
  },
  {
    name: 'HardlinkSymlinkRelative',
    layer: [
      ...etc,
      symlink('passwdlink', '../../../../../etc/passwd'),
      hardlink('localpasswd', '/passwdlink'),
    ],
    check: sameLink('localpasswd', 'passwdlink'),
  },
  {
    name: 'HardlinkSymlinkAbsolute',
    layer: [...etc, symlink('passwdlink', '/etc/passwd'), hardlink('localpasswd', '/passwdlink')],
    check: sameLink('localpasswd', 'passwdlink'),
  },

  {
    name: 'a name that climbs stays inside',
    layer: [file('../../escaped', 'x'), file('a/../../../up', 'x'), file('/abs/x', 'x')],
    check: both(content('escaped', 'x'), content('up', 'x'), content('abs/x', 'x')),
  },
  {
    name: 'a file through a link to the root of the host',
    layer: [symlink('d', '/'), file('d/host-file', 'x')],
    check: content('host-file', 'x'),
  },
  {
    name: 'a file through a link of the layer below',
    base: [symlink('d', '/'), symlink('up', '../../..')],
    layer: [file('d/one', 'x'), file('up/two', 'x')],
    check: both(content('one', 'x'), content('two', 'x')),
  },
  {
    name: 'a file over a link replaces the link',
    base: [symlink('f', '/host-secret')],
    layer: [file('f', 'new')],
    check: content('f', 'new'),
  },
  {
    name: 'a file over a link of the same layer',
    layer: [symlink('f', '/host-secret'), file('f', 'new')],
    check: content('f', 'new'),
  },
  {
    name: 'a link chain through folders made meanwhile',
    layer: [folder('a'), symlink('a/b', '..'), symlink('a/b/c', '/etc'), file('c/x', '1')],
    check: content('etc/x', '1'),
  },
  { name: 'a link that loops', layer: [symlink('l', 'l'), file('l/x', '1')], refused: 'TAR_NOT_A_FOLDER' },
  {
    name: 'a hard link to what is not there',
    layer: [hardlink('x', '/etc/shadow')],
    refused: 'TAR_BAD_LINK',
  },
  {
    name: 'a hard link out by its name',
    layer: [hardlink('x', '../../../host-secret')],
    refused: 'TAR_BAD_LINK',
  },
  {
    name: 'a hard link to a later entry',
    layer: [hardlink('x', 'later'), file('later', 'x')],
    refused: 'TAR_BAD_LINK',
  },
  { name: 'a hard link to a folder', layer: [folder('d'), hardlink('x', 'd')], refused: 'TAR_BAD_LINK' },
  {
    name: 'a hard link to itself',
    layer: [file('x', 'kept'), hardlink('x', 'x')],
    check: content('x', 'kept'),
  },
  { name: 'a file used as a folder', layer: [file('f', 'x'), file('f/g', 'x')], refused: 'TAR_NOT_A_FOLDER' },
  { name: 'an empty whiteout', base: etc, layer: [file('etc/.wh.')], refused: 'TAR_BAD_WHITEOUT' },
  {
    name: 'a whiteout of the parent as a folder',
    base: etc,
    layer: [file('.wh.../x')],
    refused: 'TAR_BAD_WHITEOUT',
  },
  {
    name: 'an opaque mark behind a link out',
    base: [...etc, symlink('l', '/../..')],
    layer: [file('l/.wh..wh..opq')],
    check: missing('etc'),
  },
  {
    name: 'a name longer than any file system takes',
    layer: [file('x'.repeat(300), 'x')],
    refused: 'TAR_BAD_NAME',
  },
  {
    name: 'a path longer than the kernel takes',
    layer: [file(`${'d/'.repeat(2200)}x`, 'x')],
    refused: 'TAR_BAD_NAME',
  },
  {
    name: 'a tree deeper than a path is long, by way of links',
    layer: [
      folder('d/'.repeat(1000)),
      symlink('s1', 'd/'.repeat(1000)),
      folder(`s1/${'d/'.repeat(1000)}`),
      symlink('s2', `s1/${'d/'.repeat(1000)}`),
      folder(`s2/${'d/'.repeat(1000)}`),
    ],
    refused: 'TAR_BAD_NAME',
  },
  {
    name: 'a tree deeper than a path is long, in one entry',
    layer: [folder('d/'.repeat(1000)), symlink('s', 'd/'.repeat(1000)), file(`s/${'d/'.repeat(1900)}f`)],
    refused: 'TAR_BAD_NAME',
  },
  {
    name: 'a magic link of the host',
    layer: [symlink('p', '/proc/self/root/'), file('p/x', '1')],
    check: content('proc/self/root/x', '1'),
  },
  { name: 'a newline in a name', layer: [file('a\nb', 'x')], check: content('a\nb', 'x') },
];

for (const whiteouts of ['apply', 'overlay'] as const) {
  for (const { name, base = [], layer, refused, check } of cases) {
    // Over another layer, the two modes differ by design.
    if (whiteouts === 'overlay' && (base.length > 0 || (check && /opaque|WhiteoutRelative/.test(name))))
      continue;
    test(`${whiteouts}: ${name}${refused === undefined ? '' : ' is refused'}`, async () => {
      using host = new TemporaryFolder();
      writeFileSync(host.join('host-secret'), 'secret');
      mkdirSync(host.join('etc'));
      writeFileSync(host.join('etc/passwd'), 'host');
      mkdirSync(host.join('in/root'), { recursive: true });
      const root = host.join('in/root');
      const outside = (): string[] =>
        describeTree(host.path, { ignoreFolderTimes: true }).filter((line) => !line.startsWith('/in/root/'));
      const apply = async (entries: readonly ArchiveEntry[]): Promise<void> => {
        using temporary = new TemporaryFolder('/tmp');
        writeFileSync(temporary.join('l.tar'), archive(...entries));
        await applyLayer({ path: temporary.join('l.tar'), compression: 'none' }, { root, whiteouts });
      };
      await apply(base);
      const before = outside();
      if (refused === undefined) {
        await apply(layer);
        check?.(root);
      } else {
        await assert.rejects(apply(layer), { code: refused, kind: 'invalid' });
      }
      assert.deepEqual(outside(), before, 'the host is as it was');
    });
  }
}

test('HardlinkSymlinkChmod: a link to a link of the host changes no mode there', async () => {
  using host = new TemporaryFolder();
  mkdirSync(host.join('root'));
  writeFileSync(host.join('perm400'), '...', { mode: 0o400 });
  writeFileSync(host.join('exists'), '...', { mode: 0o640 });
  writeFileSync(
    host.join('l.tar'),
    archive(symlink(host.join('exists'), host.join('perm400')), hardlink('sketchylink', host.join('exists'))),
  );
  await applyLayer(
    { path: host.join('l.tar'), compression: 'none' },
    { root: host.join('root'), whiteouts: 'apply' },
  );
  assert.equal(statSync(host.join('perm400')).mode & 0o7777, 0o400);
  assert.equal(statSync(host.join('exists')).mode & 0o7777, 0o640);
  assert.equal(statSync(host.join('exists')).nlink, 1);
  assert.ok(existsSync(host.join('root', host.path)), 'it is all inside');
});

test('DirectoryCreation: missing parents are made 0755 root', async () => {
  using host = new TemporaryFolder();
  mkdirSync(host.join('root'));
  writeFileSync(
    host.join('l.tar'),
    archive(folder('/etc/subdir'), folder('/other/noparent-1/1', 0o700), folder('/other/noparent-2/2/')),
  );
  const umask = process.umask(0o077);
  try {
    await applyLayer(
      { path: host.join('l.tar'), compression: 'none' },
      { root: host.join('root'), whiteouts: 'overlay' },
    );
  } finally {
    process.umask(umask);
  }
  for (const name of ['etc', 'etc/subdir', 'other', 'other/noparent-1', 'other/noparent-2/2']) {
    assert.equal(statSync(host.join('root', name)).mode & 0o7777, 0o755, name);
  }
  assert.equal(statSync(host.join('root/other/noparent-1/1')).mode & 0o7777, 0o700);
});
