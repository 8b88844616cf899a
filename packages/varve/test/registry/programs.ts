import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import type { RegistryConfigInput } from '../../src/registry/index.ts';
import { atEnd } from '../../src/registry/testing/index.ts';

/** A folder that is removed with the test. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'varve-registry-e2e-'));
  atEnd(t, () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs a program to its end and returns its output. @throws with its stderr when it fails */
export function run(argv: readonly string[], env: Readonly<Record<string, string>> = {}): string {
  const [program = '', ...rest] = argv;
  const result = spawnSync(program, rest, {
    encoding: 'utf8',
    timeout: 120_000,
    env: { ...process.env, ...env },
  });
  if (result.status === 0) return result.stdout;
  throw new Error(`${argv.join(' ')}: exit ${result.status}\n${result.stderr}${result.error?.message ?? ''}`);
}

/** A registry's process. */
export interface ServerProcess {
  readonly url: string;
  /** `host:port`, as references have it. */
  readonly host: string;
  readonly pid: number;
  /** Ends it and waits until it is gone. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** Starts Varve's registry as its own process, in a network namespace when one is named. */
export async function startServer(
  t: TestContext,
  root: string,
  options: { readonly auth?: object; readonly netns?: string } = {},
): Promise<ServerProcess> {
  const argv = [process.execPath, join(import.meta.dirname, 'serve.ts'), root, '0'];
  if (options.auth) argv.push(JSON.stringify(options.auth));
  if (options.netns !== undefined) argv.unshift('nsenter', `--net=/run/netns/${options.netns}`);
  return await serving(t, argv);
}

/** Starts it with a whole configuration. */
export async function startConfigured(t: TestContext, config: RegistryConfigInput): Promise<ServerProcess> {
  const script = join(import.meta.dirname, 'serve-config.ts');
  return await serving(t, [process.execPath, script, JSON.stringify(config)]);
}

async function serving(t: TestContext, argv: readonly string[]): Promise<ServerProcess> {
  const [program = '', ...rest] = argv;
  const child = spawn(program, rest, {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`the registry ended: ${code ?? signal}`)));
  });
  return server(t, child, url);
}

/** Starts Debian's docker-registry with deleting allowed. @param more blocks of its configuration */
export async function startDockerRegistry(
  t: TestContext,
  folder: string,
  more: object = {},
): Promise<ServerProcess> {
  const port = await freePort();
  const config = join(folder, 'docker-registry.yml');
  writeFileSync(
    config,
    JSON.stringify({
      version: 0.1,
      log: { level: 'error', accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: join(folder, 'docker-registry') }, delete: { enabled: true } },
      http: { addr: `127.0.0.1:${port}`, relativeurls: true },
      ...more,
    }),
  );
  const child = spawn('docker-registry', ['serve', config], { stdio: 'ignore' });
  const url = `http://127.0.0.1:${port}`;
  for (const deadline = Date.now() + 60_000; ; ) {
    try {
      await fetch(`${url}/v2/`);
      return server(t, child, url);
    } catch (error) {
      if (Date.now() > deadline || child.exitCode !== null) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

function server(t: TestContext, child: ChildProcess, url: string): ServerProcess {
  const gone = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
  });
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await gone;
  };
  atEnd(t, () => stop('SIGKILL'));
  return { url, host: new URL(url).host, pid: child.pid ?? 0, stop };
}

async function freePort(): Promise<number> {
  const listener = createServer();
  await new Promise<void>((resolve) => {
    listener.listen(0, '127.0.0.1', resolve);
  });
  const address = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}

const arch = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

/** A program of a newer Debian that scripts/setup --test unpacked: how it is run; its own path is the last. */
export function newerProgram(name: string): [loader: string, ...rest: string[]] {
  const libraries = resolve(import.meta.dirname, `../../../../.cache/${name}/usr/lib/${arch}-linux-gnu`);
  const loader = arch === 'aarch64' ? 'ld-linux-aarch64.so.1' : 'ld-linux-x86-64.so.2';
  return [join(libraries, loader), '--library-path', libraries, resolve(libraries, '../../bin', name)];
}

/** Makes a runnable image of one static program and returns it as `oci:<folder>:latest`. */
export function makeImage(folder: string, name = 'image'): string {
  const context = join(folder, `${name}-context`);
  mkdirSync(context);
  copyFileSync('/bin/busybox', join(context, 'busybox'));
  writeFileSync(
    join(context, 'Containerfile'),
    `FROM scratch\nCOPY busybox /bin/busybox\nLABEL name=${name}\nENTRYPOINT ["/bin/busybox"]\nCMD ["echo", "hello from ${name}"]\n`,
  );
  const image = `oci:${join(folder, name)}:latest`;
  run([...buildah(folder), 'build', '--isolation', 'chroot', '--tag', image, context]);
  return image;
}

/** buildah and podman with stores of their own, which the test removes. */
export function buildah(folder: string): string[] {
  return ['buildah', ...stores(folder)];
}

export function podman(folder: string): string[] {
  return ['podman', '--runtime', 'runc', '--cgroup-manager', 'cgroupfs', ...stores(folder)];
}

function stores(folder: string): string[] {
  return ['--root', join(folder, 'storage'), '--runroot', join(folder, 'run'), '--storage-driver', 'vfs'];
}
