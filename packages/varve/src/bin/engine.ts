import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { BaseLogger } from 'pino';
import { createApiServer } from '../api/index.ts';
import { VarveError } from '../base/index.ts';
import { type CommandContext, type ParsedArguments, versionText } from '../cli/index.ts';
import type { Logger } from '../engine/index.ts';
import { composeEngine } from './compose-engine.ts';
import { giveMemoryBackWhenIdle } from './idle-memory.ts';
import { defaultConfigFile, type EngineSettings, mergeSettings, readSettings } from './engine-settings.ts';

const defaultHost = 'unix:///run/varve/varve.sock';

function flagSettings({ flags }: ParsedArguments): EngineSettings {
  const text = (name: string): string | undefined => flags.string(name);
  const list = (name: string): readonly string[] => flags.list(name);
  const given: Record<string, unknown> = {
    hosts: list('host'),
    'data-root': text('data-root'),
    'exec-root': text('exec-root'),
    pidfile: text('pidfile'),
    'storage-driver': text('storage-driver'),
    'storage-opts': list('storage-opt'),
    'insecure-registries': list('insecure-registry'),
    'registry-mirrors': list('registry-mirror'),
    debug: flags.boolean('debug') ? true : undefined,
  };
  return Object.fromEntries(
    Object.entries(given).filter(
      ([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
    ),
  ) as EngineSettings;
}

/** @throws VarveError `conflict` when the process named in the file runs. */
function writePidFile(path: string): void {
  try {
    const pid = Number(readFileSync(path, 'utf8').trim());
    if (pid > 0 && pid !== process.pid && readFileSync(`/proc/${pid}/comm`, 'utf8') !== '') {
      throw new VarveError('conflict', 'PIDFILE', `process with PID ${pid} is still running`, {
        subject: path,
      });
    }
  } catch (error) {
    if (VarveError.is(error)) throw error;
  }
  writeFileSync(path, String(process.pid), { mode: 0o644 });
}

function groupId(name: string): number {
  if (/^\d+$/.test(name)) return Number(name);
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${name}:`));
  if (!line) throw new VarveError('not-found', 'NO_SUCH_GROUP', `group ${name} not found`, { subject: name });
  return Number(line.split(':')[2]);
}

function toLogger(log: Pick<BaseLogger, 'debug' | 'info' | 'warn' | 'error'>): Logger {
  return (level, message, fields = {}) => log[level](fields, message);
}

/** Resolves at the first request to end; a second one ends the process at once. */
function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const end = (): void => {
      if (asked) process.exit(1);
      asked = true;
      resolve();
    };
    process.on('SIGTERM', end);
    process.on('SIGINT', end);
    // dockerd reads its configuration again; here nothing can change while it runs, and a closed terminal ends nothing.
    process.on('SIGHUP', () => undefined);
    signal.addEventListener('abort', end, { once: true });
  });
}

/** `varve engine`: brings the engine and its API up, and down at SIGTERM. @returns the exit code. */
export async function runEngine(
  context: Pick<CommandContext, 'signal'>,
  parsed: ParsedArguments,
): Promise<number> {
  const { default: pino } = await import('pino');
  const configFile = parsed.flags.string('config-file');
  const file = readSettings(configFile ?? defaultConfigFile, configFile !== undefined);
  const settings = mergeSettings(file, flagSettings(parsed));
  const level = settings['log-level'] ?? (settings.debug ? 'debug' : 'info');
  const logger = pino({ level }, pino.destination({ dest: 2, sync: true }));
  const log = toLogger(logger);
  const end = ended(context.signal);
  if (settings.pidfile !== undefined) writePidFile(settings.pidfile);
  try {
    using _memory = giveMemoryBackWhenIdle();
    await using composed = await composeEngine(settings, { version: versionText, log });
    await using server = await createApiServer(composed.engine, {
      hosts: settings.hosts?.length ? settings.hosts : [defaultHost],
      log,
      ...(settings.group === undefined ? {} : { socketGroup: groupId(settings.group) }),
    });
    for (const address of server.addresses) {
      if (address.startsWith('tcp://')) {
        log('warn', 'the API is open on TCP without TLS: whoever reaches it is root here', { address });
      }
    }
    log('info', 'the engine is up', { addresses: server.addresses, version: versionText });
    await end;
    log('info', 'the engine is going down');
  } finally {
    if (settings.pidfile !== undefined) rmSync(settings.pidfile, { force: true });
  }
  return 0;
}
