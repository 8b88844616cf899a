import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { declare, Links, removeNetworkNamespace } from '../../linux/index.ts';

const unshare = declare<(flags: number) => number>('int unshare(int flags)');
const CLONE_NEWNET = 0x40000000;

/** What came of a program. */
export interface Outcome {
  readonly code: number;
  readonly output: string;
}

function execute(program: string, args: readonly string[], input = ''): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(program, args, { timeout: 15_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? 1) : 0, output: `${stdout}${stderr}` });
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}

/** Polls until the condition holds. */
export async function eventually(condition: () => Promise<boolean> | boolean, what: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not in time: ${what}`);
    await sleep(20);
  }
}

/**
 * A host of its own for a test: this thread (and each program it starts) moves to a new network namespace, where
 * devices, rules and ports disturb nobody. `outside` is a neighbour on the host's wire: 198.51.100.2 beside 198.51.100.1.
 */
export class Sandbox {
  readonly folder = mkdtempSync(join(tmpdir(), 'varve-network-'));
  readonly outside = join(this.folder, 'outside');
  readonly #children: ChildProcess[] = [];

  static async enter(): Promise<Sandbox> {
    if (unshare(CLONE_NEWNET) !== 0) throw new Error('unshare failed: the tests need root');
    const { createNetworkNamespace } = await import('../../linux/index.ts');
    const sandbox = new Sandbox();
    using links = new Links();
    links.setUp(1);
    createNetworkNamespace(sandbox.outside, () => {
      using inner = new Links();
      inner.setUp(1);
    });
    await sandbox.ip(`link add wire type veth peer name eth0 netns ${sandbox.outside}`);
    await sandbox.ip('addr add 198.51.100.1/24 dev wire');
    await sandbox.ip('link set wire up');
    await sandbox.inside(sandbox.outside, 'ip', 'addr', 'add', '198.51.100.2/24', 'dev', 'eth0');
    await sandbox.inside(sandbox.outside, 'ip', 'link', 'set', 'eth0', 'up');
    return sandbox;
  }

  /** `ip` on this host, arguments in one string. */
  async ip(args: string): Promise<Outcome> {
    return execute('ip', args.split(' '));
  }

  run(program: string, args: readonly string[], input?: string): Promise<Outcome> {
    return execute(program, args, input);
  }

  /** A program in a container's network. */
  inside(namespacePath: string, ...command: readonly string[]): Promise<Outcome> {
    return execute('nsenter', [`--net=${namespacePath}`, ...command]);
  }

  start(program: string, args: readonly string[]): ChildProcess {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#children.push(child);
    return child;
  }

  /** Starts an HTTP server in a container that answers with `text`. */
  async serve(namespacePath: string, text: string, port = 80): Promise<void> {
    const folder = mkdtempSync(join(this.folder, 'www-'));
    writeFileSync(join(folder, 'index.html'), text);
    this.start('nsenter', [
      `--net=${namespacePath}`,
      'busybox',
      'httpd',
      '-f',
      '-p',
      String(port),
      '-h',
      folder,
    ]);
    await eventually(
      async () => (await this.fetchInside(namespacePath, `http://127.0.0.1:${port}/`)) === text,
      `server in ${namespacePath}`,
    );
  }

  /** Starts a program in a container that answers every datagram with `text`. */
  async answerDatagrams(namespacePath: string, port: number, text: string): Promise<ChildProcess> {
    const program = `
      const socket = require('node:dgram').createSocket('udp4');
      socket.on('message', (_, { port, address }) => socket.send(${JSON.stringify(text)}, port, address));
      socket.bind(${port}, () => console.log('ready'));`;
    const child = this.start('nsenter', [`--net=${namespacePath}`, process.execPath, '-e', program]);
    await once(child.stdout ?? child, 'data');
    return child;
  }

  /** GET from a container; the body, or how it failed. */
  async fetchInside(namespacePath: string, url: string): Promise<string> {
    const { code, output } = await this.inside(namespacePath, 'timeout', '3', 'busybox', 'wget', '-qO-', url);
    return code === 0 ? output.trim() : `failed: ${output.trim()}`;
  }

  /** GET from the host. */
  fetch(url: string): Promise<string> {
    return new Promise((resolve) => {
      const request = get(url, { timeout: 2000, agent: false }, (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => {
          body += chunk.toString();
        });
        response.on('end', () => resolve(body.trim()));
      });
      request.on('timeout', () => request.destroy(new Error('timeout')));
      request.on('error', (error) => resolve(`failed: ${error.message}`));
    });
  }

  async leave(): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    removeNetworkNamespace(this.outside);
    const namespaces = join(this.folder, 'netns');
    for (const id of existsSync(namespaces) ? readdirSync(namespaces) : []) {
      removeNetworkNamespace(join(namespaces, id));
    }
    rmSync(this.folder, { recursive: true });
  }
}
