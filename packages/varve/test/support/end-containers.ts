import { readdirSync, readFileSync } from 'node:fs';

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

/** Ends containers that an engine left running when it was killed: children of conmons that work below the folder. */
export function endContainers(folder: string): void {
  const all = processes();
  const monitors = new Set(
    all
      .filter(({ command }) => /conmon\0/.test(command) && command.includes(`${folder}/`))
      .map(({ pid }) => pid),
  );
  for (const { pid, parent } of all) if (monitors.has(parent)) kill(pid);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

function processes(): Process[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        // After the name in parentheses: state, parent (proc_pid_stat(5)).
        const parent = readFileSync(`/proc/${name}/stat`, 'utf8')
          .replace(/^.*\) /s, '')
          .split(' ')[1];
        return [
          {
            pid: Number(name),
            parent: Number(parent),
            command: readFileSync(`/proc/${name}/cmdline`, 'utf8'),
          },
        ];
      } catch {
        return [];
      }
    });
}
