import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { eventually } from '../engine/harness.ts';

/** A shell command on a pseudo-terminal of its own (script(1)), and what its screen got. */
export class OnTerminal implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #screen = '';

  constructor(command: string, env: Readonly<Record<string, string>>) {
    this.#child = spawn('script', ['-qefc', `tty; ${command}`, '/dev/null'], {
      env: { ...env, SHELL: '/bin/sh', TERM: 'xterm' },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#screen += text;
    });
    this.#ended = new Promise((resolve) => this.#child.once('close', resolve));
  }

  /** All that was written so far. */
  get screen(): string {
    return this.#screen;
  }

  /** Presses keys. */
  type(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  /** Waits until the screen has got this. */
  async shows(text: RegExp): Promise<RegExpExecArray> {
    return eventually(
      `the screen shows ${text}:\n${this.#screen}`,
      () => text.exec(this.#screen) ?? undefined,
      30_000,
    );
  }

  /** Gives the window another size, as dragging its corner does. */
  async resize(rows: number, columns: number): Promise<void> {
    const [device = ''] = await this.shows(/\/dev\/pts\/\d+/);
    execFileSync('stty', ['-F', device, 'rows', String(rows), 'cols', String(columns)]);
  }

  /** Waits until the command has ended. */
  async ended(): Promise<string> {
    await this.#ended;
    return this.#screen;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}
