import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { clientProgram, eventually, type Result } from '../engine/harness.ts';

/** Debian's docker.io, when this machine has it. */
export const dockerdProgram = ['/usr/sbin/dockerd', '/usr/bin/dockerd'].find((path) => existsSync(path));

/** A real dockerd of its own, to compare with: data root, network namespace and socket. */
export class Dockerd implements AsyncDisposable {
  readonly folder = mkdtempSync('/var/tmp/varve-dockerd-');
  readonly #netns = `varve-${randomBytes(4).toString('hex')}`;
  #process: ChildProcess | undefined;

  static async start(): Promise<Dockerd> {
    const daemon = new Dockerd();
    try {
      await daemon.#up();
      return daemon;
    } catch (error) {
      await daemon[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #up(): Promise<void> {
    const { folder } = this;
    execFileSync('ip', ['netns', 'add', this.#netns]);
    const flags =
      `--data-root ${folder}/root --exec-root ${folder}/run -H unix://${folder}/s.sock --pidfile ${folder}/pid
      --bridge=none --iptables=false --ip6tables=false
      --containerd-namespace ${this.#netns} --containerd-plugins-namespace ${this.#netns}-p`.split(/\s+/);
    // Not `ip netns exec`: it mounts a new /sys, without the control groups.
    const command = [`--net=/run/netns/${this.#netns}`, dockerdProgram as string, ...flags];
    this.#process = spawn('nsenter', command, { stdio: 'ignore' });
    const up = async (): Promise<boolean> => (await this.docker('version')).code === 0;
    await eventually('dockerd answers', up, 60_000);
  }

  /** Runs a command of the stock client; output as bytes in latin1, so that archives survive. */
  docker(...args: string[]): Promise<Result> {
    return dockerAt(`unix://${this.folder}/s.sock`, args);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#process;
    if (child && child.exitCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
    }
    execFileSync('ip', ['netns', 'del', this.#netns]);
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
    for (const target of mounts.map((line) => line.split(' ')[4] ?? '').reverse()) {
      if (target.startsWith(`${this.folder}/`)) execFileSync('umount', ['-l', target]);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Runs the stock client, with the classic builder. */
export function dockerAt(host: string, args: readonly string[]): Promise<Result> {
  const env = { PATH: '/usr/bin:/bin', HOME: '/nonexistent', DOCKER_HOST: host, DOCKER_BUILDKIT: '0' };
  const child = spawn(clientProgram, args, {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output: Buffer[] = [];
  let stderr = '';
  child.stdout.on('data', (data: Buffer) => output.push(data));
  child.stderr.setEncoding('utf8').on('data', (data: string) => {
    stderr += data;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      resolve({ code: code ?? -1, stdout: Buffer.concat(output).toString('latin1'), stderr });
    });
  });
}
