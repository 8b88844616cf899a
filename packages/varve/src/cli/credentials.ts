import { homedir } from 'node:os';
import { join } from 'node:path';
import type { AuthConfig } from '@varve/client';
import type { DockerConfig } from '../distribution/index.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** `config.json` of `DOCKER_CONFIG`, or of `~/.docker`. */
export function configPath(environment: Environment): string {
  const folder = environment['DOCKER_CONFIG'];
  return join(folder !== undefined && folder !== '' ? folder : join(homedir(), '.docker'), 'config.json');
}

/** The caller's stored credentials; helpers are looked up on the caller's PATH. */
export async function dockerConfig(environment: Environment): Promise<DockerConfig> {
  // Loaded only here: it brings an HTTP client along, which most commands do not need.
  const { DockerConfig } = await import('../distribution/index.ts');
  return new DockerConfig(configPath(environment), async (command, args, stdin) => {
    // Loaded only here: most commands start no program.
    const { findProgram, run } = await import('../linux/index.ts');
    const env = Object.fromEntries(
      Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
    const { code, stdout } = await run(findProgram(command), args, { input: stdin, env, limit: 1 << 20 });
    return { code: code ?? 1, stdout: stdout.toString() };
  });
}

/** Credentials for a registry in the API's form; undefined when there are none. */
export async function lookUpCredentials(
  environment: Environment,
  host: string,
): Promise<AuthConfig | undefined> {
  const found = await (await dockerConfig(environment)).lookup(host);
  if (!found) return undefined;
  return {
    serveraddress: host,
    ...(found.username === undefined ? {} : { username: found.username }),
    ...(found.password === undefined ? {} : { password: found.password }),
    ...(found.identityToken === undefined ? {} : { identitytoken: found.identityToken }),
    ...(found.registryToken === undefined ? {} : { registrytoken: found.registryToken }),
  };
}
