import { closeSync, constants, openSync, readSync } from 'node:fs';
import { VarveError } from '../base/index.ts';
import { bytes, join, lstat, type RawPath, resolveInside } from './raw-path.ts';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** passwd(5) and group(5) files of images are small; more than this is not read. */
const fileLimit = 4 << 20;

function readLines(root: RawPath, path: string): string[] {
  const file = join(root, resolveInside(root, path));
  if (!lstat(file)?.isFile()) return [];
  const fd = openSync(bytes(file), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const buffer = Buffer.alloc(fileLimit);
    return buffer
      .subarray(0, readSync(fd, buffer, 0, fileLimit, 0))
      .toString()
      .split('\n');
  } finally {
    closeSync(fd);
  }
}

function lookup(root: RawPath, file: string, name: string, what: 'user' | 'group'): number {
  if (/^\d{1,10}$/.test(name) && Number(name) <= 0xffff_fffe) return Number(name);
  for (const line of readLines(root, file)) {
    const fields = line.split(':');
    if (fields[0] === name && /^\d{1,10}$/.test(fields[2] ?? '')) return Number(fields[2]);
  }
  const id = what === 'user' ? 'uid' : 'gid';
  throw new VarveError(
    'invalid',
    'NO_SUCH_OWNER',
    `unable to convert uid/gid chown string to host mapping: can't find ${id} for ${what} ${name}: no such ${what}: ${name}`,
    { subject: name },
  );
}

/**
 * The owner that `--chown=user[:group]` names, with the names of the image itself. A group that is not given is the
 * user's text again, as in Docker.
 */
export function resolveOwner(root: RawPath, chown: string): Owner {
  const [user = '', group = user] = chown.split(':', 2);
  return {
    uid: lookup(root, 'etc/passwd', user, 'user'),
    gid: lookup(root, 'etc/group', group, 'group'),
  };
}

/** The owner of what USER makes: like {@link resolveOwner}, but the group is the user's own in passwd(5). */
export function resolveUser(root: RawPath, user: string): Owner {
  const [name = '', group] = user.split(':', 2);
  if (name === '') return { uid: 0, gid: 0 };
  const uid = lookup(root, 'etc/passwd', name, 'user');
  if (group !== undefined) return { uid, gid: lookup(root, 'etc/group', group, 'group') };
  const entry = readLines(root, 'etc/passwd')
    .map((line) => line.split(':'))
    .find((fields) => fields[0] === name || fields[2] === name);
  return { uid, gid: Number(entry?.[3] ?? 0) || 0 };
}
