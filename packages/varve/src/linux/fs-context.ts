import { closeSync, readSync } from 'node:fs';
import { VarveError } from '../base/index.ts';
import { declare, errnoName, lastErrno } from './libc.ts';
import { attachMount, attributeMasks, type MountAttributes } from './mount.ts';

const fsopen = declare<(nr: number, type: string, flags: number) => number>(
  'long syscall(long nr, const char *type, uint32_t flags)',
);
const fsconfig = declare<
  (nr: number, fd: number, command: number, key: string | null, value: string | null, aux: number) => number
>('long syscall(long nr, int fd, uint32_t command, const char *key, const char *value, int aux)');
const fsmount = declare<(nr: number, fd: number, flags: number, attributes: number) => number>(
  'long syscall(long nr, int fd, uint32_t flags, uint32_t attributes)',
);

const fsopenNumber = 430;
const fsconfigNumber = 431;
const fsmountNumber = 432;
const cloexec = 1;
const setFlag = 0;
const setString = 1;
const create = 6;

/** One option of a file system, in the order it is given; `true` for one without a value. */
export type FsOption = readonly [key: string, value: string | true];

/** fsconfig(2) refuses longer values. */
export const fsOptionMaxBytes = 255;

/**
 * Mounts a file system with the calls that take one option at a time, so that neither commas nor the page limit of
 * mount(2) matter. fsopen(2), fsconfig(2), fsmount(2), move_mount(2).
 * @throws VarveError whose message has what the kernel wrote about it; code `ENOSYS` or `EINVAL` before Linux 5.2.
 */
export function mountFilesystem(
  type: string,
  options: readonly FsOption[],
  target: string,
  attributes: MountAttributes = {},
): void {
  const context = fsopen(fsopenNumber, type, cloexec);
  if (context < 0) throw failure(-1, `fsopen ${type}`, target);
  try {
    for (const [key, value] of options) {
      const isFlag = value === true;
      const result = fsconfig(
        fsconfigNumber,
        context,
        isFlag ? setFlag : setString,
        key,
        isFlag ? null : value,
        0,
      );
      if (result < 0) throw failure(context, `${type} option ${isFlag ? key : `${key}=${value}`}`, target);
    }
    if (fsconfig(fsconfigNumber, context, create, null, null, 0) < 0) {
      throw failure(context, `mount ${type}`, target);
    }
    const fd = fsmount(fsmountNumber, context, cloexec, attributeMasks(attributes).set);
    if (fd < 0) throw failure(context, `fsmount ${type}`, target);
    try {
      attachMount(fd, target);
    } finally {
      closeSync(fd);
    }
  } finally {
    closeSync(context);
  }
}

function failure(context: number, what: string, target: string): VarveError {
  const errno = lastErrno();
  const name = errnoName(errno);
  const messages = context < 0 ? [] : readMessages(context);
  const reason = messages.length > 0 ? `${name} (${messages.join('; ')})` : name;
  return new VarveError('internal', name, `${what} at ${target}: ${reason}`, {
    subject: target,
    data: { errno, messages },
  });
}

/** What the kernel logged in the context: one message a read, `e`, `w` or `i` and a space before it. fsopen(2) */
function readMessages(context: number): string[] {
  const messages: string[] = [];
  const buffer = Buffer.alloc(4096);
  for (let i = 0; i < 32; i++) {
    try {
      const length = readSync(context, buffer);
      if (length <= 0) break;
      messages.push(
        buffer
          .toString('utf8', 0, length)
          .replace(/^[ewi] /, '')
          .trim(),
      );
    } catch {
      break; // ENODATA: no more
    }
  }
  return messages;
}
