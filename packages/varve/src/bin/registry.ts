import type { Command } from '../cli/index.ts';
import { registryMaintenanceCommands } from './registry-maintenance.ts';
import { registryAccessCommands } from './registry-access.ts';
import { readConfig } from './registry-config.ts';

const serve: Command = {
  path: ['registry', 'serve'],
  group: 'registry',
  summary: 'Serve a registry; with no configuration on 127.0.0.1:5000',
  description:
    'The configuration is the YAML of distribution; REGISTRY_… environment variables go before it, flags before both. SIGTERM lets running requests end, SIGHUP reads who may do what and the certificates anew.',
  usage: '[OPTIONS] [CONFIG.YML]',
  arity: { min: 0, max: 1 },
  flags: [
    { name: 'addr', type: 'string', value: 'host:port', description: 'Address to listen on' },
    { name: 'root', type: 'string', value: 'folder', description: 'Folder of the local storage' },
  ],
  examples: [
    { command: 'varve registry serve', does: 'An open registry for this machine' },
    { command: 'varve registry serve /etc/varve/registry.yml', does: 'As configured' },
  ],
  completes: ['file'],
  run: async (context, { flags, arguments: [path] }) => {
    const { formatProblem, loadConfig, startRegistry } = await import('../registry/index.ts');
    const { default: pino } = await import('pino');
    const { config, warnings } = loadConfig(path === undefined ? '' : readConfig(path), context.environment);
    const addr = flags.string('addr');
    const root = flags.string('root');
    const logger = pino({ level: config.log.level }, pino.destination({ dest: 2, sync: true }));
    for (const problem of warnings) logger.warn(formatProblem(problem));
    const registry = await startRegistry(
      {
        ...config,
        ...(addr === undefined ? {} : { http: { ...config.http, addr } }),
        ...(root === undefined
          ? {}
          : {
              storage: {
                ...config.storage,
                filesystem: { ...config.storage.filesystem, rootdirectory: root },
              },
            }),
      },
      { logger },
    );
    context.terminal.print(`registry listening on ${registry.url}`);
    const reload = async (): Promise<void> => {
      try {
        const next = loadConfig(path === undefined ? '' : readConfig(path), context.environment);
        for (const problem of next.warnings) logger.warn(formatProblem(problem));
        await registry.reload(next.config);
        logger.info('took the configuration anew');
      } catch (error) {
        logger.error({ err: error }, 'the configuration stays as it was');
      }
    };
    const onHangUp = (): void => void reload();
    process.on('SIGHUP', onHangUp);
    await new Promise<void>((resolve) => {
      context.signal.addEventListener('abort', () => resolve(), { once: true });
      process.once('SIGTERM', () => resolve());
    });
    process.off('SIGHUP', onHangUp);
    await registry.close();
    return 0;
  },
};

const check: Command = {
  path: ['registry', 'check-config'],
  group: 'registry',
  summary: 'Check a configuration and say where what is wrong',
  usage: 'CONFIG.YML',
  arity: { min: 1, max: 1 },
  flags: [],
  examples: [
    {
      command: 'varve registry check-config /etc/varve/registry.yml',
      does: 'Line and column of each problem',
    },
  ],
  completes: ['file'],
  run: async (context, { arguments: [path = ''] }) => {
    const { checkConfig, formatProblem } = await import('../registry/index.ts');
    const { config, problems } = checkConfig(readConfig(path), context.environment);
    for (const problem of problems) context.terminal.warn(`${path}:${formatProblem(problem)}`);
    if (config === undefined) return 1;
    context.terminal.print(`${path}: ok`);
    return 0;
  },
};

export const registryCommands: readonly Command[] = [
  serve,
  check,
  ...registryMaintenanceCommands,
  ...registryAccessCommands,
];
