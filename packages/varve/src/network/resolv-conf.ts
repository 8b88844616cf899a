import { readFileSync } from 'node:fs';

/** The host's resolver configuration; read anew each time, since it changes with the host's network. */
export const resolvConfPath = '/etc/resolv.conf';

/** A small text file of the host, empty when it cannot be read. */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
