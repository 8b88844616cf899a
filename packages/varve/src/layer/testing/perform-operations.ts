import {
  appendFileSync,
  chmodSync,
  closeSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { check, errno, mknodat, punchHole, removeXattr, setXattr } from '../../linux/index.ts';
import { type Operation, type OperationKind, xattrName } from './random-operations.ts';

const currentFolder = -100;

/** Does a sequence in a folder, whose own time is set too. @throws what the file system says: every step can be done. */
export function performOperations(root: string, operations: readonly Operation[]): void {
  for (const operation of operations) {
    const at = (path: string): string => `${root}/${path}`;
    acts[operation.kind](at(operation.path), operation.value, at(operation.to ?? ''));
    for (const path of operation.touched) lutimesSync(at(path), operation.time, operation.time);
    lutimesSync(root, operation.time, operation.time);
  }
}

/** What makes way for a new name: all of an old one. */
function clear(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

function withFile(path: string, work: (fd: number) => void): void {
  const fd = openSync(path, 'r+');
  try {
    work(fd);
  } finally {
    closeSync(fd);
  }
}

const acts: Readonly<Record<OperationKind, (path: string, value: number, to: string) => void>> = {
  append: (path, value) => appendFileSync(path, `more ${value} `.repeat(1 + (value % 9))),
  overwrite: (path, value) => withFile(path, (fd) => void writeSync(fd, `over ${value}`, value % 7)),
  truncate: (path, value) => truncateSync(path, Math.min(statSync(path).size, value % 20)),
  grow: (path, value) =>
    withFile(path, (fd) => ftruncateSync(fd, statSync(path).size + 10_000 * (value % 9))),
  punch: (path, value) =>
    withFile(path, (fd) => {
      writeSync(fd, Buffer.alloc(3 * 4096, value % 256));
      check(punchHole(fd, 4096, 4096), 'fallocate', path);
    }),
  create: (path, value) => {
    clear(path);
    writeFileSync(path, `content ${value} `.repeat(value % 10 === 0 ? 6000 : value % 9));
  },
  folder: (path) => {
    clear(path);
    mkdirSync(path);
  },
  symlink: (path, value) => {
    clear(path);
    symlinkSync(value % 2 === 0 ? `../a${value}` : '/a/b', path);
  },
  fifo: (path) => {
    clear(path);
    check(mknodat(currentFolder, path, 0o010644), 'mknod', path);
  },
  device: (path, value) => {
    clear(path);
    // The character device 0/0 would be a whiteout.
    check(
      mknodat(currentFolder, path, value % 2 ? 0o020640 : 0o060640, BigInt(0x100 + (value % 200))),
      'mknod',
      path,
    );
  },
  link: (path, _value, to) => linkSync(path, to),
  move: (path, _value, to) => renameSync(path, to),
  remove: (path) => rmSync(path, { recursive: true }),
  mode: (path, value) => chmodSync(path, [0o600, 0o755, 0o4755, 0o2750, 0o1777][value % 5] ?? 0o644),
  owner: (path, value) => lchownSync(path, value % 4, value % 3),
  setxattr: (path, value) =>
    void check(setXattr(path, xattrName(value), Buffer.from([value % 256])), 'setxattr', path),
  removexattr: (path, value) => {
    const done = removeXattr(path, xattrName(value));
    // It was set through another name, and a copy-up broke the link since.
    if (done !== -errno.ENODATA) check(done, 'removexattr', path);
  },
};
