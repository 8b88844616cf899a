import { chownSync, mkdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { KeyedLock, VarveError, writeFileAtomic } from '../base/index.ts';
import { isJsonObject, type JsonObject } from '../oci/index.ts';
import { CredentialHelper, type HelperRunner } from './credential-helper.ts';
import type { RegistryCredentials } from './types.ts';

const sizeLimit = 4 * 1024 * 1024;
/** Under this key Docker keeps the credentials of docker.io. */
const hubKey = 'https://index.docker.io/v1/';

function toKey(host: string): string {
  return host === 'docker.io' || host === 'index.docker.io' ? hubKey : host;
}

/** The host of a key of `auths`; old Docker versions wrote addresses (`https://host/v1/`). */
function toHost(key: string): string {
  const host = key.replace(/^https?:\/\//, '').split('/')[0] ?? '';
  return host === 'index.docker.io' ? 'docker.io' : host;
}

function text(object: JsonObject, key: string): string | undefined {
  const value = object[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function decodeAuth(entry: JsonObject): RegistryCredentials | undefined {
  const pair = Buffer.from(text(entry, 'auth') ?? '', 'base64').toString();
  const colon = pair.indexOf(':');
  const username = colon === -1 ? text(entry, 'username') : pair.slice(0, colon);
  // Docker pads short passwords with NULs.
  const password = colon === -1 ? text(entry, 'password') : pair.slice(colon + 1).replace(/^\0+|\0+$/g, '');
  const identityToken = text(entry, 'identitytoken');
  const registryToken = text(entry, 'registrytoken');
  if (username === undefined && identityToken === undefined && registryToken === undefined) return undefined;
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(identityToken === undefined ? {} : { identityToken }),
    ...(registryToken === undefined ? {} : { registryToken }),
  };
}

function encodeAuth(credentials: RegistryCredentials): JsonObject {
  const { username, password, identityToken, registryToken } = credentials;
  const auth =
    username === undefined ? undefined : Buffer.from(`${username}:${password ?? ''}`).toString('base64');
  return {
    ...(auth === undefined ? {} : { auth }),
    ...(identityToken === undefined ? {} : { identitytoken: identityToken }),
    ...(registryToken === undefined ? {} : { registrytoken: registryToken }),
  };
}

/**
 * Docker's `config.json`, as far as it is about credentials: `auths`, `credHelpers` and `credsStore`. All else in
 * the file is kept. It is read anew by each call: `docker login` beside us takes effect at once.
 */
export class DockerConfig {
  readonly #path: string;
  readonly #runHelper: HelperRunner | undefined;
  readonly #lock = new KeyedLock();

  /**
   * @param path of `config.json`; it need not exist.
   * @param runHelper starts a credential helper; without it an entry that needs one is an error.
   */
  constructor(path: string, runHelper?: HelperRunner) {
    this.#path = path;
    this.#runHelper = runHelper;
  }

  /** A {@link CredentialLookup} over this file. */
  readonly lookup = async (host: string): Promise<RegistryCredentials | undefined> => {
    const config = this.#read();
    const helper = this.#helper(config, host);
    if (helper) return await helper.get(toKey(host));
    const { auths } = config;
    if (!isJsonObject(auths)) return undefined;
    const exact = auths[toKey(host)];
    if (isJsonObject(exact)) return decodeAuth(exact);
    const other = Object.entries(auths).find(([key, entry]) => toHost(key) === host && isJsonObject(entry));
    return other === undefined ? undefined : decodeAuth(other[1] as JsonObject);
  };

  /** The hosts there are credentials for. */
  hosts(): readonly string[] {
    const { auths } = this.#read();
    return isJsonObject(auths) ? [...new Set(Object.keys(auths).map(toHost))] : [];
  }

  /** Keeps credentials: in the helper for this host when one is set, else in the file. */
  async login(host: string, credentials: RegistryCredentials): Promise<void> {
    await this.#lock.run('', async () => {
      const config = this.#read();
      const helper = this.#helper(config, host);
      if (helper) await helper.store(toKey(host), credentials);
      const auths = isJsonObject(config['auths']) ? config['auths'] : {};
      // With a helper Docker still notes the host, without its secret.
      const entry = helper ? {} : encodeAuth(credentials);
      this.#write({ ...config, auths: { ...auths, [toKey(host)]: entry } });
    });
  }

  /** Forgets the credentials of a host. @returns false when there were none. */
  async logout(host: string): Promise<boolean> {
    return await this.#lock.run('', async () => {
      const config = this.#read();
      const wanted = toHost(host);
      const auths = isJsonObject(config['auths']) ? config['auths'] : {};
      const keys = Object.keys(auths).filter((key) => toHost(key) === wanted);
      const helper = this.#helper(config, wanted);
      for (const key of helper ? new Set([...keys, toKey(wanted)]) : []) await helper?.erase(key);
      if (keys.length === 0) return false;
      const kept = Object.entries(auths).filter(([key]) => !keys.includes(key));
      this.#write({ ...config, auths: Object.fromEntries(kept) });
      return true;
    });
  }

  #helper(config: JsonObject, host: string): CredentialHelper | undefined {
    const { credHelpers } = config;
    const own = isJsonObject(credHelpers)
      ? (text(credHelpers, toKey(host)) ?? text(credHelpers, host))
      : undefined;
    const name = own ?? text(config, 'credsStore');
    return name === undefined ? undefined : new CredentialHelper(name, this.#runHelper);
  }

  #read(): JsonObject {
    const bad = (why: string, cause?: unknown): VarveError =>
      new VarveError('invalid', 'DOCKER_CONFIG_INVALID', `"${this.#path}": ${why}`, {
        subject: this.#path,
        cause,
      });
    let bytes: Buffer;
    try {
      if (statSync(this.#path).size > sizeLimit) throw bad(`over ${sizeLimit} bytes`);
      bytes = readFileSync(this.#path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
      throw VarveError.from(error);
    }
    if (bytes.length === 0) return {};
    let parsed: unknown;
    try {
      parsed = JSON.parse(bytes.toString());
    } catch (error) {
      throw bad('it is not JSON', error);
    }
    if (!isJsonObject(parsed)) throw bad('it is not a JSON object');
    return parsed;
  }

  #write(config: JsonObject): void {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    // People link this file into place: the link stays, its target is replaced, and its owner keeps it under sudo.
    const existing = statSync(this.#path, { throwIfNoEntry: false });
    const target = existing ? realpathSync(this.#path) : this.#path;
    writeFileAtomic(target, `${JSON.stringify(config, undefined, '\t')}\n`, { mode: 0o600 });
    if (existing && existing.uid !== process.getuid?.()) chownSync(target, existing.uid, existing.gid);
  }
}
