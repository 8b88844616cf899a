/** One way to drive every store under measurement: our drivers in this process, docker and podman by their commands. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ChainID } from '../packages/varve/src/oci/index.ts';
import type { StorageDriver } from '../packages/varve/src/storage/index.ts';
import { must } from './harness.ts';
import type { Image, Workshop } from './storage-images.ts';

/** Each method gives the milliseconds that what it does took. */
export interface Store {
  readonly name: string;
  /** Folder that holds all it keeps. */
  readonly root: string;
  /** Makes ready what {@link Store.load} needs, not measured. */
  stage(images: readonly Image[]): void;
  load(images: readonly Image[]): Promise<number>;
  /** Takes an image away, until the command answers. */
  remove(image: Image): Promise<number>;
  /** A container on an image, up to where a process could start in it. */
  create(key: string, image: Image): Promise<number>;
  /** Runs a shell script in it. */
  run(key: string, script: string): Promise<number>;
  /** Lists what it changed. */
  changes(key: string): Promise<number>;
  destroy(key: string): Promise<void>;
  /** Waits for what goes on after an answer. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

async function timed(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function tooLong(limitMs: number): string {
  return `stopped after ${limitMs / 1000} s, the limit of one step`;
}

/** Leaves this thread free, where a driver may serve what the program reads. @returns what it said. */
async function succeeds(program: string, argv: readonly string[], limitMs: number): Promise<string> {
  const child = spawn(program, argv, {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: limitMs,
    killSignal: 'SIGKILL',
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const [code, signal] = await new Promise<[number | null, string | null]>((done, reject) => {
    child.on('error', reject);
    child.on('close', (...how) => done(how));
  });
  if (signal === 'SIGKILL') throw new Error(tooLong(limitMs));
  if (code !== 0) throw new Error(`${program}: exit ${code}`);
  return said;
}

/** Tells a script's time by its own shell (busybox), in microseconds: starting a container may take many times as long. */
function clocked(script: string): string {
  return `start=$EPOCHREALTIME; ${script}; end=$EPOCHREALTIME; echo "$start $end"`;
}

/** Milliseconds, of what {@link clocked} said. */
function readClock(said: string): number {
  const [start = Number.NaN, end = Number.NaN] = (said.trim().split('\n').at(-1) ?? '')
    .split(' ')
    .map(Number);
  return (end - start) * 1000;
}

export class OurStore implements Store {
  readonly name: string;
  readonly root: string;
  readonly driver: StorageDriver;
  readonly #limitMs: number;
  readonly #chains = new Map<string, readonly ChainID[]>();
  readonly #roots = new Map<string, string>();

  /** @param limitMs of one step. */
  constructor(driver: StorageDriver, root: string, limitMs: number) {
    this.name = driver.name;
    this.driver = driver;
    this.#limitMs = limitMs;
    this.root = root;
  }

  stage(): void {}

  async load(images: readonly Image[]): Promise<number> {
    const signal = AbortSignal.timeout(this.#limitMs);
    return await timed(async () => {
      for (const { name, layers, chain } of images) {
        for (const [index, { path, diffId }] of layers.entries()) {
          const key = chain[index] as ChainID;
          const layer = {
            chainId: key,
            parent: chain[index - 1],
            diffId,
            path,
            compression: 'gzip',
          } as const;
          await this.driver.apply(layer, { signal }).catch((error: unknown) => {
            throw signal.aborted ? new Error(tooLong(this.#limitMs)) : error;
          });
        }
        this.#chains.set(name, chain);
      }
    });
  }

  async remove({ name }: Image): Promise<number> {
    const chain = this.#chains.get(name) ?? [];
    this.#chains.delete(name);
    const used = new Set([...this.#chains.values()].flat());
    return await timed(async () => {
      for (const key of chain.toReversed()) if (!used.has(key)) await this.driver.remove(key);
    });
  }

  async create(key: string, image: Image): Promise<number> {
    return await timed(async () => {
      await this.driver.prepare(key, image.chain.at(-1));
      this.#roots.set(key, await this.driver.mount(key));
    });
  }

  rootOf(key: string): string {
    return this.#roots.get(key) ?? '';
  }

  async run(key: string, script: string): Promise<number> {
    const argv = [this.rootOf(key), '/bin/busybox', 'sh', '-c', clocked(script)];
    return readClock(await succeeds('chroot', argv, this.#limitMs));
  }

  async changes(key: string): Promise<number> {
    return await timed(async () => await this.driver.changes(key));
  }

  async destroy(key: string): Promise<void> {
    await this.driver.unmount(key);
    await this.driver.remove(key);
  }

  async idle(): Promise<void> {
    await this.driver.close();
  }

  async close(): Promise<void> {
    for (const key of this.#roots.keys()) await this.driver.unmount(key);
    await this.driver.close();
  }
}

/** docker or podman. */
class CommandStore implements Store {
  readonly name: string;
  readonly root: string;
  readonly #argv: readonly string[];
  readonly #env: Readonly<Record<string, string>>;
  readonly #workshop: Workshop;
  readonly #limitMs: number;
  readonly #archives = new Map<string, string>();
  readonly #images = new Map<string, string>();
  readonly #stop: () => Promise<void>;

  constructor(
    name: string,
    root: string,
    argv: readonly string[],
    env: Readonly<Record<string, string>>,
    workshop: Workshop,
    limitMs: number,
    stop: () => Promise<void>,
  ) {
    this.name = name;
    this.#limitMs = limitMs;
    this.root = root;
    this.#argv = argv;
    this.#env = env;
    this.#workshop = workshop;
    this.#stop = stop;
  }

  stage(images: readonly Image[]): void {
    const key = images.map(({ name }) => name).join();
    if (!this.#archives.has(key)) this.#archives.set(key, sharedArchive(this.#workshop, key, images));
  }

  async load(images: readonly Image[]): Promise<number> {
    const archive = this.#archives.get(images.map(({ name }) => name).join()) as string;
    return await timed(() => this.#must('load', '-q', '-i', archive));
  }

  async remove({ name }: Image): Promise<number> {
    return await timed(() => this.#must('rmi', '-f', this.#local(name)));
  }

  async create(key: string, { name }: Image): Promise<number> {
    this.#images.set(key, name);
    return await timed(() =>
      this.#must('create', '--network', 'none', '--name', key, this.#local(name), 'true'),
    );
  }

  async run(key: string, script: string): Promise<number> {
    const image = this.#local(this.#images.get(key) as string);
    this.#must('rm', '-f', key);
    return readClock(
      this.#must('run', '--network', 'none', '--name', key, image, 'sh', '-c', clocked(script)),
    );
  }

  async changes(key: string): Promise<number> {
    return await timed(() => this.#must('diff', key));
  }

  async destroy(key: string): Promise<void> {
    this.#must('rm', '-f', key);
  }

  async idle(): Promise<void> {}

  async close(): Promise<void> {
    await this.#stop();
  }

  #local(name: string): string {
    return this.#argv[0] === 'podman' ? `localhost/${name}` : name;
  }

  #must(...words: readonly string[]): string {
    return must([...this.#argv, ...words], this.#env, undefined, this.#limitMs);
  }
}

const made = new Map<string, string>();

/** All peers load the same archives. */
function sharedArchive(workshop: Workshop, key: string, images: readonly Image[]): string {
  const known = made.get(key);
  if (known !== undefined) return known;
  const path = workshop.archive(images);
  made.set(key, path);
  return path;
}

/** dockerd with a storage driver and a root of its own. @throws Error with its log when it does not come up. */
export async function startDocker(
  driver: string,
  root: string,
  runFolder: string,
  workshop: Workshop,
  limitMs: number,
): Promise<Store> {
  mkdirSync(root, { recursive: true });
  mkdirSync(join(runFolder, 'config'), { recursive: true });
  const socket = join(runFolder, 'docker.sock');
  const log = join(runFolder, 'log');
  const argv = [
    // It ends with the benchmark, however that ends.
    ...['setpriv', '--pdeathsig', 'TERM', 'dockerd'],
    ...['-H', `unix://${socket}`, '--data-root', root, '--exec-root', join(runFolder, 'exec')],
    ...[
      '--pidfile',
      join(runFolder, 'pid'),
      '--storage-driver',
      driver,
      '--bridge',
      'none',
      '--iptables=false',
    ],
  ];
  const child = spawn('sh', ['-c', 'exec "$@" >"$0" 2>&1', log, ...argv], { stdio: 'ignore' });
  const client = existsSync('/usr/local/bin/docker') ? '/usr/local/bin/docker' : 'docker';
  const env = { DOCKER_CONFIG: join(runFolder, 'config') };
  const command = [client, '-H', `unix://${socket}`];
  const deadline = Date.now() + 60_000;
  while (
    spawnSync(client, [...command.slice(1), 'version'], { env: { ...process.env, ...env } }).status !== 0
  ) {
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop(child);
      throw new Error(
        `dockerd with ${driver} did not come up: ${execFileSync('tail', ['-n', '2', log], { encoding: 'utf8' })}`,
      );
    }
    await new Promise((done) => setTimeout(done, 100));
  }
  return new CommandStore(`docker ${driver}`, root, command, env, workshop, limitMs, () => stop(child));
}

export function podmanStore(root: string, runFolder: string, workshop: Workshop, limitMs: number): Store {
  mkdirSync(runFolder, { recursive: true });
  const containers = join(runFolder, 'containers.conf');
  // Raising limits needs CAP_SYS_RESOURCE, which a machine may lack.
  writeFileSync(containers, '[containers]\ndefault_ulimits = ["nofile=1024:4096","nproc=4096:4096"]\n');
  const folders = ['--root', root, '--runroot', join(runFolder, 'run'), '--tmpdir', join(runFolder, 'tmp')];
  const choices = ['--storage-driver', 'overlay', '--cgroup-manager', 'cgroupfs', '--events-backend', 'file'];
  const argv = ['podman', ...folders, ...choices, '--runtime', 'runc', '--log-level', 'error'];
  return new CommandStore(
    'podman overlay',
    root,
    argv,
    { CONTAINERS_CONF: containers },
    workshop,
    limitMs,
    async () => undefined,
  );
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((done) => {
    child.once('exit', () => done());
  });
  child.kill('SIGTERM');
  await ended;
}

/** Bytes on disk below a folder, files with several names once; on btrfs, whose snapshots share blocks, of the whole disk. */
export function diskUsed(folder: string): number {
  const { type, blocks, bfree, bsize } = statfsSync(folder);
  if (type === 0x9123683e) return (blocks - bfree) * bsize;
  const { stdout } = spawnSync('du', ['-sx', '--block-size=1', folder], { encoding: 'utf8' });
  return Number(stdout.split('\t')[0]);
}
