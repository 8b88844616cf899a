import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { check, setXattr } from '../../linux/index.ts';
import type { UnionCase } from './union-case.ts';

const removeTree = (path: string): void => rmSync(path, { recursive: true });
const again =
  (make: (path: string) => void) =>
  (path: string): void => {
    removeTree(path);
    make(path);
  };

/** As mv(1): what rename(2) refuses for a folder of a lower layer is moved name by name. */
function move(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    mkdirSync(to);
    for (const name of readdirSync(from)) move(join(from, name), join(to, name));
    rmdirSync(from);
  }
}

/** What can happen to a folder that holds `deep/leaf`, `one` and `two`, wherever it is. */
const folderActions: Readonly<Record<string, (path: string) => void>> = {
  'given another mode': (path) => chmodSync(path, 0o1777),
  'given another owner': (path) => chownSync(path, 3, 4),
  'given another owner with all in it': (path) => {
    const names = readdirSync(path, { recursive: true, encoding: 'utf8' });
    for (const name of ['', ...names]) chownSync(join(path, name), 77, 78);
  },
  'given an attribute': (path) => void check(setXattr(path, 'user.new', Buffer.from('v')), 'setxattr', path),
  'given other times': (path) => utimesSync(path, 1_400_000_000, 1_400_000_000),
  'given a new file': (path) => writeFileSync(join(path, 'deep/more'), 'more'),
  'deleted with all in it': removeTree,
  'emptied and removed': (path) => {
    for (const name of ['deep/leaf', 'one', 'two']) unlinkSync(join(path, name));
    rmdirSync(join(path, 'deep'));
    for (const name of readdirSync(path)) unlinkSync(join(path, name));
    rmdirSync(path);
  },
  emptied: (path) => {
    for (const name of readdirSync(path)) removeTree(join(path, name));
  },
  'deleted and made again': again((path) => mkdirSync(path)),
  'deleted and made again with a name that it had': again((path) => {
    mkdirSync(join(path, 'deep'), { recursive: true });
    writeFileSync(join(path, 'deep/leaf'), 'mine');
  }),
  'deleted, made again and deleted': (path) => {
    again((folder) => mkdirSync(folder))(path);
    rmdirSync(path);
  },
  'replaced by a file': again((path) => writeFileSync(path, 'a file now')),
  'replaced by a link to a folder': again((path) => symlinkSync('empty', path)),
  'moved as mv does': (path) => move(path, `${path}.moved`),
  'moved as mv does, and made again': (path) => {
    move(path, `${path}.moved`);
    mkdirSync(path);
    writeFileSync(join(path, 'fresh'), '');
  },
  'moved deeper as mv does': (path) => move(path, join(path, '../dir/sub/moved')),
};

/** Where the folder was before: in the parent, new in this layer, or in both. */
const places: Readonly<Record<string, { readonly path: string; readonly prepare?: (path: string) => void }>> =
  {
    "a parent's folder": { path: 'tree' },
    'a new folder': { path: 'new', prepare: (path) => fillTree(path) },
    'a folder changed before': {
      path: 'tree',
      prepare: (path) => writeFileSync(join(path, 'two'), 'changed'),
    },
  };

/** Makes a folder that folder cases can be done to. */
export function fillTree(path: string): void {
  mkdirSync(join(path, 'deep'), { recursive: true });
  for (const name of ['deep/leaf', 'one', 'two']) writeFileSync(join(path, name), name);
}

/** Everything that can happen to a folder, wherever it is. */
export function folderCases(): UnionCase[] {
  return Object.entries(places).flatMap(([where, { path, prepare }]) =>
    Object.entries(folderActions).map(([what, act]) => ({
      name: `${where} is ${what}`,
      act: (root: string) => {
        prepare?.(join(root, path));
        act(join(root, path));
      },
    })),
  );
}
