import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { check, mknodat, removeXattr, setXattr } from '../../linux/index.ts';
import { replaceByUnnamed, writeMapped, zero } from './raw-writes.ts';
import type { UnionCase } from './union-case.ts';

/** Attribute that every file has to which something is done. */
export const note = 'user.note';

const replaced =
  (make: (path: string) => void) =>
  (path: string): void => {
    unlinkSync(path);
    make(path);
  };
const special = (mode: number, device = 0n) =>
  replaced((path) => void check(mknodat(-100, path, mode, device), 'mknod', path));
const attribute =
  (name: string, value: Buffer) =>
  (path: string): void =>
    void check(setXattr(path, name, value), 'setxattr', path);
/** cap_net_bind_service, permitted and effective: VFS_CAP_REVISION_2 of capabilities(7). */
const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex');

/** What can happen to one file, wherever it is. */
const fileActions: Readonly<Record<string, (path: string) => void>> = {
  'written to': (path) => appendFileSync(path, 'more'),
  'written to in the middle': (path) => {
    const fd = openSync(path, 'r+');
    writeSync(fd, 'IN', 1);
    closeSync(fd);
  },
  'written to through a mapping': (path) => writeMapped(path, Buffer.from('MAP')),
  'opened to be written anew': (path) => writeFileSync(path, 'anew'),
  truncated: (path) => truncateSync(path, 1),
  'grown by a hole': (path) => truncateSync(path, 100_000),
  'given a hole': (path) => {
    appendFileSync(path, Buffer.alloc(16384, 'x'));
    zero(path, 4096, 8192);
  },
  'given another mode': (path) => chmodSync(path, 0o600),
  'made setuid': (path) => chmodSync(path, 0o4711),
  'given another owner': (path) => chownSync(path, 12, 34),
  'given other times': (path) => utimesSync(path, 1_400_000_000.5, 1_400_000_001.5),
  'given times before 1970 and after 2038': (path) => utimesSync(path, 2_200_000_000, -86_400),
  'given an attribute': attribute('user.new', Buffer.from('v')),
  'given a large attribute': attribute('user.large', Buffer.alloc(2000, 'l')),
  'given another value of an attribute': attribute(note, Buffer.from('other')),
  'stripped of an attribute': (path) => void check(removeXattr(path, note), 'removexattr', path),
  'given a capability': attribute('security.capability', capability),
  'given a second name': (path) => linkSync(path, `${path}.2`),
  'given a second name and loses the first': (path) => {
    linkSync(path, `${path}.2`);
    unlinkSync(path);
  },
  renamed: (path) => renameSync(path, `${path}.moved`),
  'renamed there and back': (path) => {
    renameSync(path, `${path}.moved`);
    renameSync(`${path}.moved`, path);
  },
  'renamed over another file': (path) => renameSync(path, join(path, '../../other')),
  'replaced by another file': (path) => renameSync(join(path, '../../other'), path),
  'replaced by a file made without a name': (path) => replaceByUnnamed(path, 'unnamed'),
  'moved into another folder': (path) => renameSync(path, join(path, '../../empty/moved')),
  deleted: (path) => unlinkSync(path),
  'deleted and made again': replaced((path) => writeFileSync(path, 'again')),
  'deleted, made again and deleted': (path) => {
    replaced((again) => writeFileSync(again, 'again'))(path);
    unlinkSync(path);
  },
  'replaced by a folder': replaced((path) => {
    mkdirSync(path);
    writeFileSync(join(path, 'inside'), '');
  }),
  'replaced by a link': replaced((path) => symlinkSync('/etc/passwd', path)),
  'replaced by a fifo': special(0o010600),
  'replaced by a character device': special(0o020666, 0x105n),
  'replaced by a block device': special(0o060640, 0x700n),
};

interface Place {
  readonly path: string;
  readonly prepare?: (path: string) => void;
}

/** Where the file was before: in the parent, new in this layer, or in both. */
const places: Readonly<Record<string, Place>> = {
  "a parent's file": { path: 'dir/a' },
  'a new file': {
    path: 'dir/new',
    prepare: (path) => {
      writeFileSync(path, 'new');
      attribute(note, Buffer.from('mine'))(path);
    },
  },
  'a file changed before': { path: 'dir/b', prepare: (path) => appendFileSync(path, 'changed') },
};

/** Everything that can happen to a file, wherever it is. */
export function fileCases(): UnionCase[] {
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
