import type { Difference, FileFacts } from './types.ts';

interface Compared extends FileFacts {
  readonly xattrs?: string | undefined;
}

/** In what two files differ. Contents are compared by digest where both are known, else by size alone. */
export function differences(one: Compared, two: Compared): Difference[] {
  const result: Difference[] = [];
  if (one.type !== two.type) result.push('type');
  if (one.digest !== undefined && two.digest !== undefined && one.digest !== two.digest)
    result.push('content');
  if (one.size !== two.size) result.push('size');
  if (one.mode !== two.mode) result.push('mode');
  if (one.uid !== two.uid || one.gid !== two.gid) result.push('owner');
  if (one.mtime !== two.mtime) result.push('mtime');
  if (one.xattrs !== two.xattrs) result.push('xattrs');
  if (one.linkName !== two.linkName) result.push('target');
  return result;
}

/** True when both are files known to hold the same bytes. */
export function isSameContent(one: FileFacts, two: FileFacts): boolean {
  return (
    one.type === 'file' &&
    two.type === 'file' &&
    one.digest !== undefined &&
    one.digest === two.digest &&
    one.size === two.size
  );
}
