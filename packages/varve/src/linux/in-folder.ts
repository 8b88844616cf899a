import { closeSync, openSync } from 'node:fs';
import { declare, systemError } from './libc.ts';

const chdir = declare<(path: string) => number>('int chdir(const char *path)');
const fchdir = declare<(fd: number) => number>('int fchdir(int fd)');

/**
 * Runs synchronous work with `folder` as the current one, for calls whose paths must be short, and goes back. The current
 * folder belongs to the whole process, so nothing else may use relative paths; Varve never does. chdir(2)
 */
export function inFolder<T>(folder: string, work: () => T): T {
  const before = openSync('.', 'r');
  try {
    if (chdir(folder) < 0) throw systemError('chdir', folder);
    try {
      return work();
    } finally {
      goBack(before);
    }
  } finally {
    closeSync(before);
  }
}

function goBack(fd: number): void {
  if (fchdir(fd) < 0) throw systemError('fchdir', 'the former folder');
}
