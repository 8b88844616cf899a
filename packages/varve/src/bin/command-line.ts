import { mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { commands, connectEngine, main, Terminal, versionText } from '../cli/index.ts';
import { engineCommand } from './engine-command.ts';
import { migrateCommand } from './migrate-command.ts';
import { registryCommands } from './registry.ts';

const logFile = '/var/log/varve.log';

/** Starts a daemon of its own session on the default socket, with a log file. @returns why it ended, once it has. */
async function startEngine(): Promise<() => string | undefined> {
  const { spawn } = await import('node:child_process');
  mkdirSync(dirname(logFile), { recursive: true });
  const log = openSync(logFile, 'a', 0o640);
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1] as string, 'engine'], {
    detached: true,
    stdio: ['ignore', log, log],
    cwd: '/',
  });
  child.unref();
  return () =>
    child.exitCode === null && child.signalCode === null
      ? undefined
      : (readFileSync(logFile, 'utf8').trimEnd().split('\n').at(-1) ?? logFile);
}

/** Runs one command line in this process. @returns the exit code. */
export async function runCommandLine(words: readonly string[]): Promise<number> {
  const environment = process.env;
  const terminal = new Terminal(process, environment);
  const stop = new AbortController();
  // The first Ctrl-C asks the command to end, the second ends it; a command that forwards signals has its own listener.
  process.on('SIGINT', () => {
    if (process.listenerCount('SIGINT') > 1) return;
    if (stop.signal.aborted) process.exit(130);
    stop.abort();
  });
  // A reader that went away (`varve ps | head`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return main(words, {
    commands: [...commands, engineCommand, migrateCommand, ...registryCommands],
    terminal,
    environment,
    signal: stop.signal,
    version: versionText,
    engine: (host) => connectEngine(host, environment, startEngine),
    storageDrivers: async (dataRoot) => {
      const { storageDriverKinds } = await import('./storage-drivers.ts');
      return storageDriverKinds(join(dataRoot, 'snapshots')).map((kind) => kind.create([]));
    },
  });
}
