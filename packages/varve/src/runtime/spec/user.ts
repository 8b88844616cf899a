import { VarveError } from '../../base/index.ts';
import type { OciUser } from './oci-spec.ts';
import { readRootfsFile } from './rootfs-file.ts';

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

const MAX_ID = 2 ** 31 - 1;

function parseId(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,10}$/.test(text) && Number(text) <= MAX_ID ? Number(text) : undefined;
}

function records(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'));
}

/** Entries of a passwd(5) file; lines that are none are skipped, as libc does. */
export function parsePasswd(text: string): readonly PasswdEntry[] {
  return records(text).flatMap(([name, , uid, gid]) => {
    const [u, g] = [parseId(uid), parseId(gid)];
    return name !== undefined && u !== undefined && g !== undefined ? [{ name, uid: u, gid: g }] : [];
  });
}

/** Entries of a group(5) file. */
export function parseGroup(text: string): readonly GroupEntry[] {
  return records(text).flatMap(([name, , gid, members]) => {
    const id = parseId(gid);
    return name === undefined || id === undefined
      ? []
      : [{ name, gid: id, members: (members ?? '').split(',').filter((member) => member !== '') }];
  });
}

function noMatch(what: 'user' | 'group', name: string): VarveError {
  const file = what === 'user' ? 'passwd' : 'group';
  return new VarveError(
    'invalid',
    `NO_SUCH_${what.toUpperCase()}`,
    `unable to find ${what} ${name}: no matching entries in ${file} file`,
    { subject: name, hint: `use a number, or a name in the image's /etc/${file}` },
  );
}

function checkRange(text: string): void {
  if (/^-?\d+$/.test(text) && parseId(text) === undefined) {
    throw new VarveError('invalid', 'ID_OUT_OF_RANGE', `uids and gids must be in range 0-${MAX_ID}`, {
      subject: text,
    });
  }
}

/**
 * Who a process is, from `user[:group]` and further groups, by the rules of moby/sys/user GetExecUser: names win over
 * numbers; a number needs no entry; without `:group` the user's own groups count, with it only that one.
 * @throws VarveError `invalid` in Docker's words when a name is unknown.
 */
export function resolveUser(
  passwd: readonly PasswdEntry[],
  groups: readonly GroupEntry[],
  wanted: string,
  additional: readonly string[] = [],
): OciUser {
  const separator = wanted.indexOf(':');
  const userPart = (separator < 0 ? wanted : wanted.slice(0, separator)) || '0';
  const groupPart = separator < 0 ? '' : wanted.slice(separator + 1);
  const number = parseId(userPart);
  const entry =
    passwd.find((candidate) => candidate.name === userPart) ??
    passwd.find((candidate) => candidate.uid === number);
  checkRange(userPart);
  if (entry === undefined && number === undefined) throw noMatch('user', userPart);
  const uid = entry?.uid ?? number ?? 0;
  const findGroup = (name: string): number => {
    const id = parseId(name);
    const found =
      groups.find((candidate) => candidate.name === name) ?? groups.find((candidate) => candidate.gid === id);
    checkRange(name);
    const gid = found?.gid ?? id;
    if (gid === undefined) throw noMatch('group', name);
    return gid;
  };
  const gid = groupPart === '' ? (entry?.gid ?? 0) : findGroup(groupPart);
  const own =
    groupPart === '' && entry !== undefined
      ? groups.filter((group) => group.members.includes(entry.name)).map((group) => group.gid)
      : [];
  return { uid, gid, additionalGids: [...new Set([gid, ...own, ...additional.map(findGroup)])] };
}

/** {@link resolveUser} with the image's own /etc/passwd and /etc/group, read without leaving its root. */
export function resolveRootfsUser(
  rootfs: string,
  wanted: string,
  additional: readonly string[] = [],
): OciUser {
  const passwd = parsePasswd(readRootfsFile(rootfs, '/etc/passwd') ?? '');
  const groups = parseGroup(readRootfsFile(rootfs, '/etc/group') ?? '');
  return resolveUser(passwd, groups, wanted, additional);
}
