import { spawn } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ResultLine } from '../../../../scripts/test-reporter.ts';
import { compileShim, moduleOrder, whyNoGuest } from './guest-parts.ts';

export interface GuestOptions {
  /** Kernel modules beside those that are built in: ext4, xfs, btrfs. */
  readonly modules: readonly string[];
  /** Memory, which also holds /tmp and /var/tmp. Default `1536M`. */
  readonly memory?: string;
  /** The guest is killed after this. Default eleven minutes. */
  readonly limitMs?: number;
}

const checkout = resolve(import.meta.dirname, '../../../..');
const consoleLimit = 20_000;
const defaultLimitMs = 11 * 60_000;

/**
 * Declares a test that boots Linux in a process of this machine (user-mode-linux), runs a test file there as root, and
 * passes on each of its tests as one of its own. The guest sees /usr, /etc and the checkout, all read-only, and folders in
 * memory. VARVE_GUEST_ONLY is a pattern of the names of tests to run there. In CI a guest that cannot be started is a failure, elsewhere a skip; both say why.
 */
export function runInGuest(file: URL, options: GuestOptions): void {
  const reason = whyNoGuest();
  const isRequired = (process.env['CI'] ?? '') !== '';
  const limitMs = options.limitMs ?? defaultLimitMs;
  const name = `in a guest: ${fileURLToPath(file).slice(checkout.length + 1)}`;
  const skip = reason !== undefined && !isRequired ? reason : false;
  test(name, { skip, timeout: limitMs + 30_000 }, async (context) => {
    if (reason !== undefined) throw new Error(`CI is set and no guest can be started: ${reason}`);
    await using guest = new Guest(file, options);
    for await (const line of guest.results()) await pass(context, line);
    await guest.ended();
  });
}

/** Repeats what a test of the guest came to. */
async function pass(context: TestContext, line: ResultLine): Promise<void> {
  if (line.type === 'skip') await context.test(line.name, { skip: line.reason }, () => undefined);
  if (line.type !== 'pass' && line.type !== 'fail') return;
  await context.test(line.name, (own) => {
    own.diagnostic(`${Math.round(line.ms)} ms in the guest`);
    if (line.type === 'fail') throw new Error(line.error);
  });
}

/** A booted guest that runs one test file. */
export class Guest implements AsyncDisposable {
  readonly #folder = mkdtempSync('/var/tmp/varve-guest-');
  readonly #child: ReturnType<typeof spawn>;
  readonly #exit: Promise<string>;
  #console = '';
  #isWhole = false;
  #isCut = false;
  readonly #timer: NodeJS.Timeout;

  constructor(file: URL, { modules, memory = '1536M', limitMs = defaultLimitMs }: GuestOptions) {
    const root = join(this.#folder, 'root');
    for (const name of ['dev', 'proc', 'root', 'run', 'sys', 'tmp', 'var/tmp']) {
      mkdirSync(join(root, name), { recursive: true });
    }
    for (const name of ['bin', 'lib', 'lib64', 'sbin']) symlinkSync(`usr/${name}`, join(root, name));
    copyFileSync(join(import.meta.dirname, 'init.sh'), join(root, 'init'));
    chmodSync(join(root, 'init'), 0o755);
    const cycles = process.env['VARVE_TEST_CYCLES'];
    const words: Readonly<Record<string, string>> = {
      mem: memory,
      guest_modules: moduleOrder(modules).join(','),
      guest_node: process.execPath,
      guest_checkout: checkout,
      guest_test: fileURLToPath(file),
      guest_only: (process.env['VARVE_GUEST_ONLY'] ?? '').replaceAll(' ', '.'),
      guest_reporter: join(checkout, 'scripts/test-reporter.ts'),
      ...(cycles === undefined ? {} : { VARVE_TEST_CYCLES: cycles }),
    };
    // Each ends with the one before, however that ends, and all in the namespace with its first: nothing is left running.
    this.#child = spawn(
      'setpriv',
      [
        ...['--pdeathsig', 'KILL', 'unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'],
        ...['sh', join(import.meta.dirname, 'boot.sh'), root, compileShim(this.#folder), checkout],
        ...['quiet', ...Object.entries(words).map(([key, value]) => `${key}=${value}`)],
      ],
      { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] },
    );
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#console = (this.#console + text.replaceAll('\r', '')).slice(-consoleLimit);
      });
    }
    this.#exit = new Promise((done) => {
      this.#child.once('error', (error) => done(error.message));
      this.#child.once('close', (code, signal) => done(signal ?? `code ${code}`));
    });
    this.#timer = setTimeout(() => {
      this.#isCut = true;
      this.#child.kill('SIGKILL');
    }, limitMs);
  }

  /** What the guest's tests came to, as they do, and what the file itself writes to /dev/ttyS0 as objects of one line each. */
  async *results<Own extends { readonly type: string } = never>(): AsyncGenerator<ResultLine | Own> {
    for await (const text of createInterface({ input: this.#child.stdio[3] as Readable })) {
      if (!text.startsWith('{')) continue;
      const line = JSON.parse(text) as ResultLine | Own;
      if (line.type === 'end') this.#isWhole = true;
      yield line;
    }
  }

  /** Waits for the guest's end. @throws Error with the end of its console unless it ran all its tests. */
  async ended(): Promise<void> {
    const how = await this.#exit;
    if (this.#isWhole) return;
    const why = this.#isCut ? 'was cut at its time limit' : `ended early (${how})`;
    throw new Error(`the guest ${why}; its console:\n${this.#console}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#child.kill('SIGKILL');
    await this.#exit;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
