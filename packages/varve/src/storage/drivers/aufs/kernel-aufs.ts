import { readFileSync } from 'node:fs';
import { mount, mountFlags } from '../../../linux/index.ts';

/** mount(2) copies one page of options, its closing zero included. */
const pageBytes = 4096;

/** Whether this kernel has AUFS, which is built out of its tree (Ubuntu before 5.16, some others). */
export function kernelHasAufs(filesystems = readFileSync('/proc/filesystems', 'utf8')): boolean {
  return /^(?:nodev)?\taufs$/m.test(filesystems);
}

/**
 * Options of the mount, and of the remounts after it, that each fit a page. aufs(5): `br:` names the branches topmost first
 * with their rights, `append:` adds one at the bottom; `ro+wh` is a read-only branch whose whiteouts count. `dirperm1`:
 * the topmost branch alone decides on a folder's permissions. `xino` lies on tmpfs, since its file must be sparse and quick.
 * @param writable undefined for a read-only union.
 * @param room bytes that one set of options may take.
 */
export function aufsOptions(
  writable: string | undefined,
  readOnly: readonly string[],
  room = pageBytes - 1,
): { readonly mount: string; readonly remounts: readonly string[] } {
  const tail = ',dio,xino=/dev/shm/aufs.xino,dirperm1';
  const branches = [
    ...(writable === undefined ? [] : [`${writable}=rw`]),
    ...readOnly.map((path) => `${path}=ro+wh`),
  ];
  let first = `br:${branches[0] ?? ''}`;
  let next = 1;
  for (; next < branches.length; next++) {
    const longer = `${first}:${branches[next] as string}`;
    if (Buffer.byteLength(longer + tail) > room) break;
    first = longer;
  }
  const remounts: string[] = [];
  let current = '';
  for (; next < branches.length; next++) {
    const item = `append:${branches[next] as string}`;
    const longer = current === '' ? item : `${current},${item}`;
    if (Buffer.byteLength(longer) > room && current !== '') {
      remounts.push(current);
      current = item;
    } else {
      current = longer;
    }
  }
  if (current !== '') remounts.push(current);
  return { mount: first + tail, remounts };
}

/** Mounts a union by the kernel's own AUFS. @throws VarveError with the errno's name as code. */
export function mountKernelAufs(
  target: string,
  union: { readonly writable: string | undefined; readonly readOnly: readonly string[] },
  readOnly: boolean,
): void {
  const options = aufsOptions(union.writable, union.readOnly);
  mount('none', target, 'aufs', 0, options.mount);
  for (const remount of options.remounts) mount('none', target, 'aufs', mountFlags.remount, remount);
  if (readOnly) mount(null, target, null, mountFlags.remount | mountFlags.bind | mountFlags.readOnly);
}
