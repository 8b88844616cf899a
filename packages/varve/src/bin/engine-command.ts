import type { Command, Flag } from '../cli/index.ts';

export const configFileFlag: Flag = {
  name: 'config-file',
  type: 'string',
  value: 'file',
  description: 'JSON of settings, as daemon.json',
};

/** `varve engine`: the daemon. */
export const engineCommand: Command = {
  path: ['engine'],
  group: 'system',
  summary: 'Run the engine: the daemon that speaks the Docker HTTP API',
  description:
    'Flags are named as those of dockerd. SIGTERM stops containers and ends it; a killed engine leaves them running and finds them again.',
  usage: '[OPTIONS]',
  arity: { min: 0, max: 0 },
  flags: [
    {
      name: 'host',
      short: 'H',
      type: 'list',
      value: 'address',
      description: 'Listen on unix:///path or tcp://ip:port; may be given several times',
    },
    {
      name: 'data-root',
      type: 'string',
      value: 'folder',
      description: 'Images, layers, volumes and records (default /var/lib/varve)',
    },
    {
      name: 'exec-root',
      type: 'string',
      value: 'folder',
      description: 'What running containers need (default /run/varve)',
    },
    { name: 'pidfile', short: 'p', type: 'string', value: 'file', description: 'File for the process id' },
    {
      name: 'storage-driver',
      short: 's',
      type: 'string',
      value: 'driver',
      description: 'erofs, overlay2, vfs, overlay, btrfs, aufs or devicemapper',
    },
    {
      name: 'storage-opt',
      type: 'list',
      value: 'key=value',
      description: "Of the storage driver, e.g. overlay2.size=10G; each driver's README lists its own",
    },
    configFileFlag,
    {
      name: 'insecure-registry',
      type: 'list',
      value: 'host',
      description: 'Registry to be spoken to without TLS',
    },
    { name: 'registry-mirror', type: 'list', value: 'address', description: 'Asked before docker.io' },
    { name: 'debug', short: 'D', type: 'boolean', description: 'Log more' },
  ],
  examples: [
    {
      command: 'varve engine -H unix:///tmp/v.sock --data-root /tmp/v',
      does: 'A second one beside the system’s',
    },
  ],
  run: async (context, parsed) => {
    const { runEngine } = await import('./engine.ts');
    return runEngine(context, parsed);
  },
};
