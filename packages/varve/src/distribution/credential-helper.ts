import { VarveError } from '../base/index.ts';
import { isJsonObject } from '../oci/index.ts';
import { printable } from './failures.ts';
import type { RegistryCredentials } from './types.ts';

/**
 * Starts a program found in PATH with `stdin` as its input and waits for it. A program that cannot be started makes
 * the promise fail. The linux room provides one.
 */
export type HelperRunner = (
  command: string,
  args: readonly string[],
  stdin: string,
) => Promise<{ readonly code: number; readonly stdout: string }>;

/** The user name under which helpers keep identity tokens. */
const tokenUser = '<token>';

/** A `docker-credential-*` program. Protocol: docker-credential-helpers (verb as argument, JSON on stdin and stdout). */
export class CredentialHelper {
  readonly #program: string;
  readonly #run: HelperRunner;

  /** @throws VarveError `invalid` for a name that could be a path, `not-implemented` without a runner. */
  constructor(name: string, run: HelperRunner | undefined) {
    if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name)) {
      throw new VarveError(
        'invalid',
        'DOCKER_CONFIG_INVALID',
        `wrong name of a credential helper: ${JSON.stringify(name)}`,
        { subject: name },
      );
    }
    this.#program = `docker-credential-${name}`;
    if (run === undefined) {
      throw new VarveError(
        'not-implemented',
        'NO_HELPER_RUNNER',
        `"${this.#program}" cannot be started here`,
        { subject: name },
      );
    }
    this.#run = run;
  }

  /** undefined when the helper has nothing for this server. */
  async get(server: string): Promise<RegistryCredentials | undefined> {
    const { code, stdout } = await this.#start('get', server);
    if (code !== 0) {
      if (stdout.includes('credentials not found')) return undefined;
      throw this.#failed('get', stdout);
    }
    let parsed: unknown;
    try {
      parsed = JSON.parse(stdout);
    } catch {
      throw this.#failed('get', 'the answer is not JSON');
    }
    const { Username: username, Secret: secret } = isJsonObject(parsed) ? parsed : {};
    if (typeof username !== 'string' || typeof secret !== 'string')
      throw this.#failed('get', 'the answer has no secret');
    return username === tokenUser ? { identityToken: secret } : { username, password: secret };
  }

  async store(server: string, credentials: RegistryCredentials): Promise<void> {
    const { identityToken, username, password } = credentials;
    const entry =
      identityToken === undefined
        ? { ServerURL: server, Username: username ?? '', Secret: password ?? '' }
        : { ServerURL: server, Username: tokenUser, Secret: identityToken };
    const { code, stdout } = await this.#start('store', JSON.stringify(entry));
    if (code !== 0) throw this.#failed('store', stdout);
  }

  async erase(server: string): Promise<void> {
    const { code, stdout } = await this.#start('erase', server);
    if (code !== 0 && !stdout.includes('credentials not found')) throw this.#failed('erase', stdout);
  }

  async #start(verb: string, stdin: string): Promise<{ readonly code: number; readonly stdout: string }> {
    try {
      return await this.#run(this.#program, [verb], stdin);
    } catch (error) {
      throw this.#failed(verb, error instanceof Error ? error.message : String(error), error);
    }
  }

  #failed(verb: string, why: string, cause?: unknown): VarveError {
    return new VarveError(
      'unavailable',
      'CREDENTIAL_HELPER_FAILED',
      `error getting credentials: "${this.#program} ${verb}": ${printable(why.trim(), 300)}`,
      {
        subject: this.#program,
        hint: 'install the helper, or take it out of the Docker configuration',
        cause,
      },
    );
  }
}
