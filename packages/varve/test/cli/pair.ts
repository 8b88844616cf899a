import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { type Result, TestEngine } from '../engine/harness.ts';

const varveSource = new URL('../../src/bin/varve.ts', import.meta.url).pathname;

/** How to run one of the two commands. */
export interface RunOptions {
  readonly input?: string | Buffer;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** The stock client and ours over one engine. */
export class Pair implements AsyncDisposable {
  readonly engine: TestEngine;
  readonly #entry: string;

  private constructor(engine: TestEngine, entry: string) {
    this.engine = engine;
    this.#entry = entry;
  }

  /** @param entry what Node runs: the source, or a bundle. */
  static async start(entry: string = varveSource): Promise<Pair> {
    return new Pair(await TestEngine.start(), entry);
  }

  /** argv of `varve` where the engine's ports are. */
  argv(...args: readonly string[]): readonly string[] {
    return ['nsenter', `--net=/run/netns/${this.engine.netns}`, process.execPath, '--', this.#entry, ...args];
  }

  /** Both clients see the same environment, and nothing of the caller's. */
  environment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
    return {
      PATH: process.env['PATH'] ?? '',
      HOME: this.engine.folder,
      TZ: 'UTC',
      DOCKER_HOST: `unix://${this.engine.socket}`,
      DOCKER_CONFIG: join(this.engine.folder, 'client'),
      DOCKER_BUILDKIT: '0',
      ...extra,
    };
  }

  #run(argv: readonly string[], options: RunOptions): Promise<Result> {
    const [program = '', ...rest] = argv;
    const child = spawn(program, rest, {
      env: this.environment(options.env),
      stdio: 'pipe',
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    const parts = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      parts.stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      parts.stderr += text;
    });
    // A command that reads no input may be gone before it was written.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input);
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve({ code: code ?? -1, ...parts }));
    });
  }

  varve(args: readonly string[], options: RunOptions = {}): Promise<Result> {
    return this.#run(this.argv(...args), options);
  }

  docker(args: readonly string[], options: RunOptions = {}): Promise<Result> {
    const inside = ['nsenter', `--net=/run/netns/${this.engine.netns}`, '/usr/local/bin/docker', ...args];
    return this.#run(inside, options);
  }

  /** `varve` must succeed. @returns stdout, trimmed. */
  async ok(...args: string[]): Promise<string> {
    const result = await this.varve(args);
    assert.equal(
      result.code,
      0,
      `varve ${args.join(' ')}: ${result.stderr}\n${this.engine.log.slice(-1000)}`,
    );
    return result.stdout.trim();
  }

  /** Runs a command that changes nothing with both clients at once and compares all they say. */
  async same(args: readonly string[], options: RunOptions = {}): Promise<Result> {
    const [theirs, ours] = await Promise.all([this.docker(args, options), this.varve(args, options)]);
    assert.deepEqual(plain(ours), plain(theirs), `varve ${args.join(' ')}`);
    return ours;
  }

  /**
   * Runs a command that changes something with one client after the other, each with objects of its own: `@` in the
   * words stands for `d` and `v`.
   */
  async sameTwice(args: readonly string[], options: RunOptions = {}): Promise<Result> {
    const own = (letter: string): string[] => args.map((word) => word.replaceAll('@', letter));
    const theirs = await this.docker(own('d'), options);
    const ours = await this.varve(own('v'), options);
    assert.deepEqual(plain(ours), plain(theirs), `varve ${args.join(' ')}`);
    return ours;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.engine[Symbol.asyncDispose]();
  }
}

/** Words that differ between two runs, or between two programs of one kind, replaced. */
function words(text: string): string {
  return (
    text
      .replaceAll(/\b(docker|varve)\b(?!\.io)/g, 'CLI')
      .replaceAll(/[0-9a-f]{64}/g, 'ID')
      .replaceAll(/\b[0-9a-f]{12}\b/g, 'SHORT')
      .replaceAll(/\b[dv]-(?=\w)/g, 'x-')
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
      .replaceAll(/(Less than a|About an?|\d+) (second|minute|hour)s?/g, 'DURATION')
      .replaceAll(/template: :1(:\d+)?:/g, 'template:')
      .replaceAll(/can't evaluate field (\w+).*/g, "can't evaluate field $1")
      .replaceAll(/See '(CLI \w+) --help' for more/g, "Run '$1 --help' for more")
      .replaceAll(/Successfully copied [\d.]+k?M?B/g, 'Successfully copied SIZE')
      // What the stock client's own plumbing says.
      .replaceAll(/^(exit status 1|time="[^\n]*)\n/gm, '')
      .replaceAll(/ +/g, ' ')
  );
}

/** A result with all that may differ taken out. */
export function plain(result: Result): Result {
  return { code: result.code, stdout: words(result.stdout), stderr: words(result.stderr) };
}
