import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** A real dockerd (Debian's docker.io) with a data root of its own, in a network namespace, without a network. */
export class DockerDaemon implements AsyncDisposable {
  readonly socket: string;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(folder: string, child: ChildProcess) {
    this.#folder = folder;
    this.socket = join(folder, 'docker.sock');
    this.#child = child;
  }

  /** @returns why it does not run here instead, when it does not. */
  static async start(netns: string, folder: string): Promise<DockerDaemon | string> {
    if (!existsSync('/usr/sbin/dockerd')) return 'dockerd is not installed (Debian package docker.io)';
    mkdirSync(folder);
    const log = openSync(join(folder, 'log'), 'w');
    const child = spawn(
      'nsenter',
      [
        `--net=/run/netns/${netns}`,
        'dockerd',
        `--host=unix://${join(folder, 'docker.sock')}`,
        `--data-root=${join(folder, 'root')}`,
        `--exec-root=${join(folder, 'exec')}`,
        `--pidfile=${join(folder, 'pid')}`,
        '--bridge=none',
        '--iptables=false',
        '--storage-driver=overlay2',
      ],
      { stdio: ['ignore', log, log] },
    );
    const daemon = new DockerDaemon(folder, child);
    for (const deadline = Date.now() + 60_000; ; await delay(100)) {
      if (daemon.docker('version').status === 0) return daemon;
      if (child.exitCode === null && Date.now() < deadline) continue;
      const end = readFileSync(join(folder, 'log'), 'utf8').trim().split('\n').at(-1);
      await daemon[Symbol.asyncDispose]();
      return `dockerd does not start: ${end}`;
    }
  }

  docker(...args: readonly string[]): ReturnType<typeof spawnSync> {
    return spawnSync('docker', ['-H', `unix://${this.socket}`, ...args], {
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], HOME: this.#folder, DOCKER_BUILDKIT: '0' },
    });
  }

  /** Runs a command that must succeed. */
  ok(...args: readonly string[]): string {
    const { status, stdout, stderr } = this.docker(...args);
    if (status === 0) return String(stdout).trim();
    throw new Error(`docker ${args.join(' ')}: ${String(stderr)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    await gone;
  }
}
