import type { Readable } from 'node:stream';
import { type SpawnedProcess, spawn } from '../../linux/index.ts';
import type { ConmonRuntimeOptions } from '../conmon-runtime.ts';
import type { ContainerSpec } from '../types.ts';

/** A daemon in a process of its own, for tests that kill it. */
export interface TestDaemon {
  readonly process: SpawnedProcess;
  /** What the daemon prints. */
  readonly output: Readable;
}

/**
 * Starts a Node process that makes a runtime and then runs `script`, which sees `runtime` and `specs`.
 */
export function startDaemon(
  options: ConmonRuntimeOptions,
  specs: readonly ContainerSpec[],
  script: string,
): TestDaemon {
  const source = `
    import { ConmonRuntime } from ${JSON.stringify(import.meta.resolve('../conmon-runtime.ts'))};
    const runtime = new ConmonRuntime(${JSON.stringify(options)});
    const specs = ${JSON.stringify(specs)};
    ${script}
    console.log('ready');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    env: { PATH: '/usr/bin:/bin' },
    stdio: ['null', 'output', 2],
  });
  const output = child.pipes[1];
  if (output === undefined) throw new Error('no pipe');
  return { process: child, output };
}

/** Resolves when the daemon has printed `word`. */
export async function printed(daemon: TestDaemon, word: string): Promise<void> {
  let text = '';
  for await (const chunk of daemon.output.iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    if (text.includes(word)) return;
  }
  throw new Error(`the daemon ended without printing ${word}: ${text}`);
}
