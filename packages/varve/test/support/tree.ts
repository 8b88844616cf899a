import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readTar } from '../../src/layer/index.ts';

/** What engines put into a container's root by themselves, and the folders whose time that changes. */
const ofTheRuntime =
  /^(dev|proc|sys|run)(\/.*)?$|^(\.dockerenv|etc|etc\/(hosts|hostname|resolv\.conf|mtab))$/;

/**
 * A root file system as lines, one for each name: type, mode, owner, size, time, link, attributes and bytes; equal for
 * equal trees. Names that are one file show the first of them.
 */
export async function listTree(folder: string): Promise<string[]> {
  const tar = spawn(
    'tar',
    [
      '--format=posix',
      '--xattrs',
      '--xattrs-include=*',
      '--acls',
      '--numeric-owner',
      '--sort=name',
      '-C',
      folder,
      '-cf',
      '-',
      '.',
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const lines: string[] = [];
  for await (const entry of readTar(tar.stdout)) {
    const name = entry.name.toString().replace(/^\.\//, '').replace(/\/$/, '');
    const hash = createHash('sha256');
    for await (const chunk of entry.body) hash.update(chunk);
    if (name === '' || name === '.' || ofTheRuntime.test(name)) continue;
    const { type, mode, uid, gid, size, mtime, linkName, xattrs } = entry;
    const time = type === 'symlink' ? '' : `${mtime.seconds}.${mtime.nanoseconds}`;
    const attributes = xattrs
      .map((xattr) => `${xattr.name.toString()}=${xattr.value.toString('hex')}`)
      .sort()
      .join(' ');
    lines.push(
      type === 'hardlink'
        ? `${name}: same file as ${linkName.toString()}`
        : `${name}: ${type} ${mode.toString(8)} ${uid}:${gid} ${size} ${time} ${linkName.toString()} ${attributes} ${hash.digest('hex').slice(0, 12)}`,
    );
  }
  return lines.sort();
}
