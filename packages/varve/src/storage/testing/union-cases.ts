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
import { fileCases, note } from './file-cases.ts';
import { fillTree, folderCases } from './folder-cases.ts';
import type { UnionCase } from './union-case.ts';

const old = 1_500_000_000.25;

/** Something of everything. Times are old, so that every later change shows. */
export function makeBase(root: string): void {
  const at = (name: string): string => join(root, name);
  mkdirSync(at('dir/sub'), { recursive: true });
  mkdirSync(at('empty'));
  for (const name of ['file', 'other', 'dir/a', 'dir/b', 'dir/sub/c', 'dir/.hidden']) {
    writeFileSync(at(name), name);
  }
  for (const name of ['file', 'dir/a', 'dir/b'])
    check(setXattr(at(name), note, Buffer.from('kept')), 'setxattr', name);
  fillTree(at('tree'));
  // As nothing else in size: equal size and time to the nanosecond are taken for equal content.
  appendFileSync(at('other'), ' content');
  writeFileSync(at('big'), Buffer.alloc(1 << 20, 'big'));
  writeFileSync(at('hard1'), 'linked');
  linkSync(at('hard1'), at('dir/hard2'));
  symlinkSync('file', at('link'));
  symlinkSync('nowhere', at('dangling'));
  symlinkSync('dir', at('dirlink'));
  writeFileSync(at('setuid'), 'x');
  chownSync(at('setuid'), 10, 20);
  chmodSync(at('setuid'), 0o4755);
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

/** Cases of links, devices and names. */
const otherCases: readonly UnionCase[] = [
  { name: 'nothing happens', act: () => undefined },
  { name: 'an empty folder of the parent is deleted', act: (root) => rmdirSync(join(root, 'empty')) },
  {
    name: 'a deleted folder is made again with a file of the same name in it',
    act: (root) => {
      rmSync(join(root, 'dir'), { recursive: true });
      mkdirSync(join(root, 'dir/sub'), { recursive: true });
      writeFileSync(join(root, 'dir/sub/c'), 'mine');
    },
  },
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
  {
    name: 'a file of two names in the parent is written through one',
    breaksLinks: true,
    act: (root) => appendFileSync(join(root, 'hard1'), 'more'),
  },
  {
    name: 'a file of two names in the parent loses one',
    act: (root) => unlinkSync(join(root, 'hard1')),
  },
  {
    name: 'a file of two names in the parent gets a third and loses the first',
    breaksLinks: true,
    act: (root) => {
      linkSync(join(root, 'hard1'), join(root, 'empty/hard3'));
      unlinkSync(join(root, 'hard1'));
    },
  },
  {
    name: 'a link and a device get other names',
    act: (root) => {
      linkSync(join(root, 'link'), join(root, 'link.2'));
      linkSync(join(root, 'null'), join(root, 'empty/null'));
      renameSync(join(root, 'dangling'), join(root, 'empty/dangling'));
    },
  },
  {
    name: 'a link has a target of 3,000 bytes',
    act: (root) => symlinkSync('t'.repeat(3000), join(root, 'long')),
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

export const unionCases: readonly UnionCase[] = [...fileCases(), ...folderCases(), ...otherCases];
