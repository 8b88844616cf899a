import type { BigIntStats } from 'node:fs';

/**
 * What tells one state of a file from every other on this machine: device, inode, size, mtime and ctime. No program can
 * set a ctime, so a change under a kept mtime is seen.
 */
export function fileIdentity(stat: BigIntStats): string {
  return `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;
}
