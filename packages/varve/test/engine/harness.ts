import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { endContainers } from '../support/end-containers.ts';

/** The program under test. */
export const entry = new URL('../../src/bin/varve.ts', import.meta.url).pathname;
/** The stock client, of the docker.io package if there is no other. */
export const clientProgram =
  process.env['VARVE_TEST_DOCKER'] ??
  ['/usr/local/bin/docker', '/usr/bin/docker'].find((path) => existsSync(path)) ??
  'docker';

/** What a command printed, and how it ended. */
export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Asks until the answer is there. @throws with the last answer after the deadline. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  deadlineMs = 60_000,
): Promise<T> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > end) assert.fail(`${what}: not so after ${deadlineMs} ms`);
    await delay(50);
  }
}

function collect(child: ChildProcess): Promise<Result> {
  const parts = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    parts.stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    parts.stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code: code ?? (signal ? 128 : -1), ...parts }));
  });
}

/** A tar of a root file system with busybox and all its applets. */
export function busyboxTar(folder: string): string {
  const root = join(folder, 'busybox');
  for (const name of ['bin', 'etc', 'tmp', 'root', 'proc', 'sys', 'dev', 'var']) {
    mkdirSync(join(root, name), { recursive: true });
  }
  chmodSync(join(root, 'tmp'), 0o1777);
  const busybox = join(root, 'bin/busybox');
  copyFileSync('/bin/busybox', busybox);
  for (const applet of execFileSync(busybox, ['--list'], { encoding: 'utf8' }).split('\n')) {
    if (applet !== '' && applet !== 'busybox') linkSync(busybox, join(root, 'bin', applet));
  }
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n');
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nuser:x:1000:\n');
  const tar = join(folder, 'busybox.tar');
  execFileSync('tar', ['--numeric-owner', '--owner=0', '--group=0', '-C', root, '-cf', tar, '.']);
  rmSync(root, { recursive: true });
  return tar;
}

/** `VARVE_TEST_STORAGE_DRIVER` runs a test with another driver than the one its engine would choose. */
function chosenDriver(flags: readonly string[]): string[] {
  const name = process.env['VARVE_TEST_STORAGE_DRIVER'];
  const isGiven = flags.some((flag) => flag.startsWith('--storage-driver'));
  return name === undefined || name === '' || isGiven ? [] : [`--storage-driver=${name}`];
}

/** An engine of its own: data root, network namespace and socket; driven by the stock docker client. */
export class TestEngine implements AsyncDisposable {
  readonly folder: string;
  readonly socket: string;
  /** Name of the network namespace that stands for its host. */
  readonly netns: string;
  #process: ChildProcess | undefined;

  private constructor(folder: string, netns: string) {
    this.folder = folder;
    this.socket = join(folder, 's.sock');
    this.netns = netns;
  }

  /** Starts one, with the image `busybox`. */
  static async start(): Promise<TestEngine> {
    const folder = mkdtempSync('/var/tmp/varve-test-');
    const netns = `varve-${randomBytes(4).toString('hex')}`;
    execFileSync('ip', ['netns', 'add', netns]);
    const engine = new TestEngine(folder, netns);
    try {
      execFileSync('nsenter', [`--net=/run/netns/${netns}`, 'ip', 'link', 'set', 'lo', 'up']);
      await engine.up();
      await engine.ok('import', '-c', 'CMD ["sh"]', busyboxTar(folder), 'busybox');
      return engine;
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
  }

  get log(): string {
    return readFileSync(join(this.folder, 'log'), 'utf8');
  }

  /** Brings the daemon up (again). */
  async up(...flags: string[]): Promise<void> {
    const { folder } = this;
    const command = [
      `--net=/run/netns/${this.netns}`,
      process.execPath,
      entry,
      'engine',
      `--data-root=${join(folder, 'root')}`,
      `--exec-root=${join(folder, 'run')}`,
      `--host=unix://${this.socket}`,
      `--pidfile=${join(folder, 'pid')}`,
      '--debug',
      ...chosenDriver(flags),
      ...flags,
    ];
    const child = spawn('nsenter', command, { stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr?.on('data', (chunk: Buffer) => writeFileSync(join(folder, 'log'), chunk, { flag: 'a' }));
    this.#process = child;
    await eventually('the engine answers', async () => {
      if (child.exitCode !== null) assert.fail(`the engine ended: ${this.log}`);
      return (await this.docker('version', '--format', '{{.Server.Version}}')).code === 0;
    });
  }

  /** Whether the daemon has ended by itself (or by another's hand), after a moment to be seen. */
  async ended(): Promise<boolean> {
    const child = this.#process;
    if (!child) return true;
    if ((await this.docker('version')).code === 0) return false;
    if (child.exitCode === null && child.signalCode === null)
      await new Promise((resolve) => child.once('exit', resolve));
    return true;
  }

  /** Ends the daemon with a signal and waits for its end. */
  async down(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const closed = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await closed;
  }

  /** A docker command that is under way. */
  begin(args: readonly string[], options: { readonly tty?: boolean } = {}): ChildProcess {
    const environment = {
      PATH: process.env['PATH'],
      HOME: this.folder,
      DOCKER_HOST: `unix://${this.socket}`,
      DOCKER_CONFIG: join(this.folder, 'client'),
      DOCKER_BUILDKIT: '0',
    };
    const inside = ['nsenter', `--net=/run/netns/${this.netns}`, clientProgram, ...args];
    const [program, ...rest] = options.tty
      ? ['script', '-qefc', inside.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' '), '/dev/null']
      : inside;
    return spawn(program as string, rest, { env: environment, stdio: 'pipe' });
  }

  /** Runs a docker command to its end. */
  docker(...args: string[]): Promise<Result> {
    const child = this.begin(args);
    child.stdin?.end();
    return collect(child);
  }

  /** The same with bytes on stdin. */
  dockerInput(input: string | Buffer, ...args: string[]): Promise<Result> {
    const child = this.begin(args);
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
    return collect(child);
  }

  /** The same on a terminal (script(1)). */
  dockerTty(input: string, ...args: string[]): Promise<Result> {
    const child = this.begin(args, { tty: true });
    child.stdin?.write(input);
    return collect(child);
  }

  /** Runs a docker command that must succeed; gives what it printed, trimmed. */
  async ok(...args: string[]): Promise<string> {
    const result = await this.docker(...args);
    assert.equal(
      result.code,
      0,
      `docker ${args.join(' ')}: ${result.stderr}${result.stdout}\n${this.log.slice(-2000)}`,
    );
    return result.stdout.trim();
  }

  /** Runs a docker command that must fail with this code and say this. */
  async fails(code: number, message: RegExp, ...args: string[]): Promise<void> {
    const result = await this.docker(...args);
    assert.match(result.stderr + result.stdout, message, `docker ${args.join(' ')}`);
    assert.equal(result.code, code, `docker ${args.join(' ')}: ${result.stderr}`);
  }

  /** Runs a program where the engine's ports are. */
  async onHost(program: string, ...args: string[]): Promise<Result> {
    return collect(
      spawn('nsenter', [`--net=/run/netns/${this.netns}`, program, ...args], {
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
  }

  /** Starts a program there; the caller ends it. */
  beginOnHost(program: string, ...args: string[]): ChildProcess {
    return spawn('nsenter', [`--net=/run/netns/${this.netns}`, program, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  }

  /** Value of an inspect template. */
  inspect(name: string, template: string): Promise<string> {
    return this.ok('inspect', '--format', template, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.#process) {
        const left = await this.docker('ps', '-aq');
        const ids = left.stdout.split('\n').filter(Boolean);
        if (ids.length > 0) await this.docker('rm', '-fv', ...ids);
        await this.down();
      }
    } finally {
      endContainers(this.folder);
      unmountBelow(this.folder);
      // Whatever is in use above goes with its last user; a monitor may still write here.
      rmSync(this.folder, { recursive: true, force: true, maxRetries: 20 });
      execFileSync('ip', ['netns', 'del', this.netns]);
    }
  }
}

/** Takes away what a killed engine left mounted. */
function unmountBelow(folder: string): void {
  const targets = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((target) => target.startsWith(`${folder}/`));
  for (const target of targets.reverse()) execFileSync('umount', ['-l', target]);
}
