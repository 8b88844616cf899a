/** The engines under measurement, each on a data root of its own, all in one network namespace made for the run. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');

export interface Peers {
  readonly folder: string;
  /** The stock docker client at Varve's engine. */
  readonly varve: readonly string[];
  /** The same client at dockerd. */
  readonly docker: readonly string[];
  readonly podman: readonly string[];
  readonly buildah: readonly string[];
  /** Environment of all of them. */
  readonly env: Readonly<Record<string, string>>;
  readonly registry: string;
  readonly emptyRegistry: { readonly host: string; readonly wipe: () => void };
  readonly pids: { readonly varve: number; readonly docker: number };
  stop(): Promise<void>;
}

/** True when this process already stands in the namespace of the run. */
export const inNamespace = process.env['VARVE_BENCH_NAMESPACE'] === '1';

/**
 * Starts this script again inside a new network namespace with its loopback up, and gives its exit code.
 * @param more further namespaces, as unshare(1) calls them; with `--mount`, what is mounted ends with the script.
 */
export function reenter(...more: readonly string[]): number {
  const { status } = spawnSync(
    'unshare',
    [
      '--net',
      ...more,
      'sh',
      '-c',
      'ip link set lo up && exec "$0" "$@"',
      process.execPath,
      ...process.argv.slice(1),
    ],
    { stdio: 'inherit', env: { ...process.env, VARVE_BENCH_NAMESPACE: '1' } },
  );
  return status ?? 1;
}

async function until(what: string, ready: () => boolean, seconds = 30): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!ready()) {
    if (Date.now() > deadline) throw new Error(`${what} did not come up in ${seconds} s`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

function start(
  children: ChildProcess[],
  argv: readonly string[],
  log: string,
  env: Readonly<Record<string, string>> = {},
): ChildProcess {
  const child = spawn('sh', ['-c', 'exec "$@" >"$0" 2>&1', log, ...argv], {
    stdio: 'ignore',
    env: { ...process.env, ...env },
  });
  children.push(child);
  return child;
}

function registry(children: ChildProcess[], folder: string, name: string, port: number): string {
  const config = join(folder, `${name}.yml`);
  writeFileSync(
    config,
    `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: ${join(folder, name)}}, delete: {enabled: true}}
http: {addr: 127.0.0.1:${port}}
`,
  );
  start(children, ['docker-registry', 'serve', config], join(folder, `${name}.log`));
  return `127.0.0.1:${port}`;
}

/** Starts dockerd, Varve's engine and two registries, and waits until they answer. */
export async function startPeers(folder: string): Promise<Peers> {
  mkdirSync(join(folder, 'podman/net'), { recursive: true });
  const children: ChildProcess[] = [];
  const containers = join(folder, 'containers.conf');
  // Raising limits needs CAP_SYS_RESOURCE, which a machine may lack: podman is told lower ones.
  writeFileSync(containers, '[containers]\ndefault_ulimits = ["nofile=1024:4096","nproc=4096:4096"]\n');
  const env = {
    CONTAINERS_CONF: containers,
    DOCKER_CONFIG: join(folder, 'docker-config'),
    DOCKER_BUILDKIT: '0',
  };
  // podman refuses a DOCKER_CONFIG without a file in it.
  mkdirSync(join(folder, 'docker-config'));
  writeFileSync(join(folder, 'docker-config/config.json'), '{}');
  const dockerSocket = join(folder, 'docker.sock');
  const varveSocket = join(folder, 'varve.sock');
  const dockerd = start(
    children,
    [
      'dockerd',
      '-H',
      `unix://${dockerSocket}`,
      '--data-root',
      join(folder, 'docker'),
      '--exec-root',
      join(folder, 'docker-exec'),
      '--pidfile',
      join(folder, 'docker.pid'),
      '--storage-driver',
      'overlay2',
      '--bip',
      '172.31.0.1/24',
      '--default-address-pool',
      'base=172.30.0.0/16,size=24',
    ],
    join(folder, 'dockerd.log'),
  );
  const varve = start(
    children,
    [
      join(root, 'varve'),
      'engine',
      '--host',
      `unix://${varveSocket}`,
      '--data-root',
      join(folder, 'varve'),
      '--exec-root',
      join(folder, 'varve-exec'),
      '--pidfile',
      join(folder, 'varve.pid'),
    ],
    join(folder, 'varve.log'),
  );
  const client = '/usr/local/bin/docker';
  const docker = [spawnSync(client, ['--version']).status === 0 ? client : 'docker'];
  const peers: Peers = {
    folder,
    env,
    varve: [...docker, '-H', `unix://${varveSocket}`],
    docker: [...docker, '-H', `unix://${dockerSocket}`],
    podman: [
      'podman',
      '--root',
      join(folder, 'podman/root'),
      '--runroot',
      join(folder, 'podman/run'),
      '--tmpdir',
      join(folder, 'podman/tmp'),
      '--storage-driver',
      'overlay',
      '--cgroup-manager',
      'cgroupfs',
      '--events-backend',
      'file',
      '--network-config-dir',
      join(folder, 'podman/net'),
      '--runtime',
      'runc',
      '--log-level',
      'error',
    ],
    buildah: [
      'buildah',
      '--root',
      join(folder, 'podman/root'),
      '--runroot',
      join(folder, 'podman/run'),
      '--storage-driver',
      'overlay',
    ],
    registry: registry(children, folder, 'registry', 5000),
    emptyRegistry: {
      host: registry(children, folder, 'empty-registry', 5001),
      wipe: () => rmSync(join(folder, 'empty-registry', 'docker'), { recursive: true, force: true }),
    },
    pids: { varve: varve.pid as number, docker: dockerd.pid as number },
    async stop() {
      for (const child of children.reverse()) {
        child.kill('SIGTERM');
        await new Promise<void>((done) =>
          child.exitCode === null && child.signalCode === null ? child.once('exit', () => done()) : done(),
        );
      }
    },
  };
  const answers = (argv: readonly string[]) => (): boolean =>
    spawnSync(argv[0] as string, [...argv.slice(1), 'version'], { env: { ...process.env, ...env } })
      .status === 0;
  await until('dockerd', answers(peers.docker));
  await until('varve engine', answers(peers.varve));
  await until(
    'docker-registry',
    () => spawnSync('curl', ['-sf', `http://${peers.registry}/v2/`]).status === 0,
  );
  return peers;
}
