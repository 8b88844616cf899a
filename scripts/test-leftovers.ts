/** What tests make on the machine and must take away again. */
import { readdirSync, readFileSync } from 'node:fs';

/** Mounts below Varve's folders, network namespaces, control groups, folders and container monitors, as one line each. */
export function found(): Set<string> {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((target) => /^\/(var\/)?tmp\/varve-|^\/run\/varve/.test(target));
  return new Set([
    ...mounts.map((target) => `mount ${target}`),
    ...named('/run/netns').map((name) => `network namespace ${name}`),
    ...['/tmp', '/var/tmp'].flatMap((folder) => named(folder).map((name) => `${folder}/${name}`)),
    ...named('/sys/class/net').map((name) => `network link ${name}`),
    ...monitors(),
  ]);
}

/** What is there now and was not before. */
export function leftSince(before: ReadonlySet<string>): string[] {
  return [...found()].filter((thing) => !before.has(thing)).sort();
}

function named(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.startsWith('varve'));
  } catch {
    return [];
  }
}

function monitors(): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      if (readFileSync(`/proc/${pid}/comm`, 'utf8') !== 'conmon\n') return [];
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      // A zombie has none; it waits for process 1 alone.
      return command === '' ? [] : [`process ${pid} ${command.slice(0, 160)}`];
    } catch {
      return [];
    }
  });
}
