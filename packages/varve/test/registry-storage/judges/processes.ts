import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';

/** Why a judge cannot run here; false when it can. In CI a missing one is a failure, not a skip. */
export function missing(...programs: readonly string[]): string | false {
  const absent = programs.filter(
    (program) => !existsSync(program) && spawnSync('which', [program]).status !== 0,
  );
  if (absent.length === 0) return false;
  const reason = `not installed: ${absent.join(', ')} (scripts/setup --test)`;
  if (process.env['CI']) throw new Error(reason);
  return reason;
}

/** Ports that are free on the loopback address, different ones. */
export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  for (let index = 0; index < count; index++) {
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    servers.push(server);
  }
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** The processes of a judge and the folder they live in; disposing ends the ones and removes the other. */
export class Judge implements AsyncDisposable {
  readonly folder: string;
  readonly #children: ChildProcess[] = [];

  constructor(name: string) {
    this.folder = mkdtempSync(join('/var/tmp', `varve-${name}-`));
  }

  path(...parts: readonly string[]): string {
    return join(this.folder, ...parts);
  }

  /** Starts a program that stays, with its output in `<name>.log`. */
  start(name: string, argv: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
    const log = openSync(this.path(`${name}.log`), 'a');
    const [program = '', ...rest] = argv;
    const child = spawn(program, rest, {
      stdio: ['ignore', log, log],
      cwd: this.folder,
      env: { ...process.env, ...env },
    });
    this.#children.push(child);
    return child;
  }

  /** Runs a program to its end. @throws with what it printed */
  run(argv: readonly string[], input?: string): string {
    const [program = '', ...rest] = argv;
    const result = spawnSync(program, rest, { encoding: 'utf8', timeout: 120_000, input, cwd: this.folder });
    if (result.status === 0) return result.stdout;
    throw new Error(`${argv.join(' ')}: ${result.status ?? result.signal}\n${result.stdout}${result.stderr}`);
  }

  /** Waits until `check` does not throw. @throws with the programs' output when one ends or time is over */
  async until(what: string, check: () => Promise<unknown>, seconds = 90): Promise<void> {
    for (const deadline = Date.now() + seconds * 1000; ; ) {
      try {
        await check();
        return;
      } catch (cause) {
        const dead = this.#children.find(
          ({ exitCode, signalCode }) => exitCode !== null || signalCode !== null,
        );
        if (dead || Date.now() > deadline) {
          throw new Error(`${what}: ${dead ? `${dead.spawnfile} ended` : 'not in time'}\n${this.#logs()}`, {
            cause,
          });
        }
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const gone = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGKILL');
        await gone;
      }),
    );
    rmSync(this.folder, { recursive: true, force: true });
  }

  #logs(): string {
    return this.#children
      .map(({ spawnfile }, index) => `${index} ${spawnfile}`)
      .concat(this.run(['sh', '-c', 'tail -n 15 ./*.log 2>/dev/null || true']).trim())
      .join('\n');
  }
}

/** A GET that has to succeed. */
export async function get(url: string): Promise<void> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(3000) });
  await answer.arrayBuffer();
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
}
