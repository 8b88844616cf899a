import {
  appendFileSync,
  chmodSync,
  chownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { check, mknodat, setXattr } from '../../linux/index.ts';

/** Something done to a tree, which must come out as in a plain folder. */
export interface UnionCase {
  readonly name: string;
  /** What the parent holds; {@link makeBase} when absent. */
  readonly base?: (root: string) => void;
  readonly act: (root: string) => void;
}

const old = 1_500_000_000.25;

/** Something of everything. Times are old, so that every later change shows. */
export function makeBase(root: string): void {
  const at = (name: string): string => join(root, name);
  mkdirSync(at('dir/sub'), { recursive: true });
  mkdirSync(at('empty'));
  for (const name of ['file', 'other', 'dir/a', 'dir/b', 'dir/sub/c', 'dir/.hidden']) {
    writeFileSync(at(name), name);
  }
  writeFileSync(at('big'), Buffer.alloc(1 << 20, 'big'));
  writeFileSync(at('hard1'), 'linked');
  linkSync(at('hard1'), at('dir/hard2'));
  symlinkSync('file', at('link'));
  symlinkSync('nowhere', at('dangling'));
  symlinkSync('dir', at('dirlink'));
  writeFileSync(at('setuid'), 'x');
  chownSync(at('setuid'), 10, 20);
  chmodSync(at('setuid'), 0o4755);
  check(setXattr(at('file'), 'user.note', Buffer.from('kept')), 'setxattr', 'file');
  check(mknodat(-100, at('fifo'), 0o010644), 'mknod', 'fifo');
  check(mknodat(-100, at('null'), 0o020666, 0x103n), 'mknod', 'null');
  age(root);
}

function age(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) age(child);
    else lutimesSync(child, old, old);
  }
  utimesSync(path, old, old);
}

/** What can happen to one file, wherever it is. */
const fileActions: Readonly<Record<string, (path: string) => void>> = {
  'written to': (path) => appendFileSync(path, 'more'),
  truncated: (path) => truncateSync(path, 1),
  'given another mode': (path) => chmodSync(path, 0o600),
  'given another owner': (path) => chownSync(path, 12, 34),
  'given other times': (path) => utimesSync(path, 1_400_000_000.5, 1_400_000_001.5),
  'given an attribute': (path) => void check(setXattr(path, 'user.new', Buffer.from('v')), 'setxattr', path),
  'given a second name': (path) => linkSync(path, `${path}.2`),
  renamed: (path) => renameSync(path, `${path}.moved`),
  'moved into another folder': (path) => renameSync(path, join(path, '../../empty/moved')),
  deleted: (path) => unlinkSync(path),
  'deleted and made again': (path) => {
    unlinkSync(path);
    writeFileSync(path, 'again');
  },
  'replaced by a folder': (path) => {
    unlinkSync(path);
    mkdirSync(path);
    writeFileSync(join(path, 'inside'), '');
  },
  'replaced by a link': (path) => {
    unlinkSync(path);
    symlinkSync('/etc/passwd', path);
  },
};

/** Where the file was before: in the parent, new in this layer, or in both. */
const places: Readonly<Record<string, { readonly path: string; readonly prepare?: (path: string) => void }>> =
  {
    "a parent's file": { path: 'dir/a' },
    'a new file': { path: 'dir/new', prepare: (path) => writeFileSync(path, 'new') },
    'a file changed before': { path: 'dir/b', prepare: (path) => appendFileSync(path, 'changed') },
  };

function fileCases(): UnionCase[] {
  return Object.entries(places).flatMap(([where, { path, prepare }]) =>
    Object.entries(fileActions).map(([what, act]) => ({
      name: `${where} is ${what}`,
      act: (root: string) => {
        prepare?.(join(root, path));
        act(join(root, path));
      },
    })),
  );
}

/** Cases of folders, links and devices. */
const otherCases: readonly UnionCase[] = [
  { name: 'nothing happens', act: () => undefined },
  {
    name: 'a folder of the parent is deleted with all in it',
    act: (root) => rmSync(join(root, 'dir'), { recursive: true }),
  },
  { name: 'an empty folder of the parent is deleted', act: (root) => rmdirSync(join(root, 'empty')) },
  {
    name: 'a deleted folder is made again and shows nothing old',
    act: (root) => {
      rmSync(join(root, 'dir'), { recursive: true });
      mkdirSync(join(root, 'dir'));
      writeFileSync(join(root, 'dir/fresh'), '');
    },
  },
  {
    name: 'a deleted folder is made again with a file of the same name in it',
    act: (root) => {
      rmSync(join(root, 'dir'), { recursive: true });
      mkdirSync(join(root, 'dir/sub'), { recursive: true });
      writeFileSync(join(root, 'dir/sub/c'), 'mine');
    },
  },
  {
    name: 'a folder is replaced by a file',
    act: (root) => {
      rmSync(join(root, 'dir'), { recursive: true });
      writeFileSync(join(root, 'dir'), 'a file now');
    },
  },
  {
    name: 'a folder is replaced by a link to a folder',
    act: (root) => {
      rmSync(join(root, 'dir'), { recursive: true });
      symlinkSync('empty', join(root, 'dir'));
    },
  },
  { name: 'a folder is given another mode', act: (root) => chmodSync(join(root, 'dir'), 0o1777) },
  { name: 'a folder is given another owner', act: (root) => chownSync(join(root, 'dir/sub'), 3, 4) },
  {
    name: 'a new folder is made and renamed',
    act: (root) => {
      mkdirSync(join(root, 'made/deep'), { recursive: true });
      writeFileSync(join(root, 'made/deep/file'), 'x');
      renameSync(join(root, 'made'), join(root, 'moved'));
    },
  },
  {
    name: 'a file is written through a link of the parent',
    act: (root) => appendFileSync(join(root, 'link'), 'more'),
  },
  { name: 'a link is deleted', act: (root) => unlinkSync(join(root, 'dangling')) },
  {
    name: 'a setuid file is copied up by a change of its times',
    act: (root) => utimesSync(join(root, 'setuid'), 1, 2),
  },
  {
    name: 'a device and a fifo get another mode',
    act: (root) => ['null', 'fifo'].forEach((name) => chmodSync(join(root, name), 0o600)),
  },
  {
    name: 'all kinds of files are made',
    act: (root) => {
      mkdirSync(join(root, 'new'));
      makeBase(join(root, 'new'));
    },
  },
  {
    name: 'a file with holes is made',
    act: (root) => {
      writeFileSync(join(root, 'holes'), '');
      truncateSync(join(root, 'holes'), 8 << 20);
      appendFileSync(join(root, 'holes'), 'end');
    },
  },
  {
    name: 'names hold blanks, quotes, commas, colons and backslashes',
    act: (root) => {
      mkdirSync(join(root, 'a:b,c'));
      for (const name of ["it's", 'new\nline', 'back\\slash', 'ünï', '-rf', '.whatever', 'a:b,c/inside']) {
        writeFileSync(join(root, name), name);
      }
    },
  },
  {
    name: 'a name as long as a file system takes',
    act: (root) => writeFileSync(join(root, 'n'.repeat(255)), ''),
  },
];

export const unionCases: readonly UnionCase[] = [...fileCases(), ...otherCases];
