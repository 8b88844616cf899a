import { chmodSync, chownSync, lstatSync } from 'node:fs';

/** A mode no layer gives its root: still there after unpacking, the layer had no entry for the root. */
const unsetMode = 0o1001;

/** Marks a fresh root folder, so that {@link wasRootSet} can tell whether unpacking set it. */
export function markRoot(path: string): void {
  chmodSync(path, unsetMode);
}

/** True when unpacking gave the root folder attributes; otherwise it gets the default ones, 0755. */
export function wasRootSet(path: string): boolean {
  if ((lstatSync(path).mode & 0o7777) !== unsetMode) return true;
  chmodSync(path, 0o755);
  return false;
}

/** Gives a root folder the owner and mode of another. Owner first: chown(2) clears set-id bits. */
export function copyRootAttributes(from: string, to: string): void {
  const source = lstatSync(from);
  const target = lstatSync(to);
  if (source.uid !== target.uid || source.gid !== target.gid) chownSync(to, source.uid, source.gid);
  if (source.mode !== target.mode) chmodSync(to, source.mode & 0o7777);
}
