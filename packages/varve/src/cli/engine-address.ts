import { existsSync } from 'node:fs';
import { Engine, EngineError } from '@varve/client';

/** Where an engine listens when nothing else is said. */
export const defaultHost = 'unix:///run/varve/varve.sock';

type Environment = Readonly<Record<string, string | undefined>>;

/** The engine to talk to and who named it: --host, VARVE_HOST, DOCKER_HOST, or the default socket. */
export function engineHost(
  flag: string | undefined,
  environment: Environment,
): { readonly host: string; readonly origin: string } {
  if (flag !== undefined) return { host: flag, origin: '--host' };
  for (const name of ['VARVE_HOST', 'DOCKER_HOST']) {
    const host = environment[name];
    if (host !== undefined && host !== '') return { host, origin: name };
  }
  return { host: defaultHost, origin: 'default' };
}

/**
 * Connects to the engine; on the default socket one is started when none answers and this user may.
 * @param start starts a daemon and does not wait for it; what it gives tells why the daemon ended, when it has.
 */
export async function connectEngine(
  flag: string | undefined,
  environment: Environment,
  start: () => Promise<() => string | undefined>,
): Promise<Engine> {
  const { host, origin } = engineHost(flag, environment);
  const engine = new Engine({ host });
  if (origin !== 'default') return engine;
  const path = host.slice('unix://'.length);
  if (existsSync(path) && (await answers(engine))) return engine;
  if (process.getuid?.() !== 0) {
    throw new EngineError(
      0,
      `no engine listens at ${host}; start one as root with \`varve engine\``,
      'connect',
    );
  }
  const ended = await start();
  const deadline = Date.now() + 30_000;
  while (!(await answers(engine))) {
    const why = ended();
    if (why !== undefined) throw new EngineError(0, `the engine ended: ${why}`, 'connect');
    if (Date.now() > deadline)
      throw new EngineError(0, 'the engine did not start within 30 s; see /var/log/varve.log', 'connect');
    await new Promise((done) => setTimeout(done, 50));
  }
  return engine;
}

async function answers(engine: Engine): Promise<boolean> {
  try {
    await engine.ping();
    return true;
  } catch (error) {
    if (EngineError.is(error, 0)) return false;
    throw error;
  }
}
