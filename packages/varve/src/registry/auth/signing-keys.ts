import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { JWK } from 'jose';
import type { Logger } from 'pino';
import { VarveError, writeFileAtomic } from '../../base/index.ts';
import { jwkThumbprint } from './trusted-keys.ts';

interface SigningKey {
  readonly id: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** Milliseconds since 1970, as the next. */
  readonly createdAt: number;
  readonly signsFrom: number;
}

interface StoredKey {
  readonly id: string;
  readonly createdAt: number;
  readonly signsFrom: number;
  readonly privateKey: string;
}

/** How long a new key is published before it signs, so that whoever caches the key set has it by then. */
const leadMs = 15 * 60_000;

export interface SigningKeysOptions {
  /** Age at which a key is followed by a new one. */
  readonly rotationMs: number;
  /** How long a key that no longer signs is still believed: the longest life of a token. */
  readonly keepMs: number;
  readonly now?: () => number;
}

/**
 * The P-256 keys of the embedded token server, in one file of mode 0600, made with the first start. A key signs until
 * its follower does, and is believed until the last token that it signed has expired. Nodes may share the folder.
 */
export class SigningKeys {
  readonly #path: string;
  readonly #options: SigningKeysOptions;
  readonly #now: () => number;
  #keys: readonly SigningKey[] = [];
  #stamp = '';

  /** @throws VarveError `invalid` (`KEY_INVALID`) for a file that is none of ours */
  constructor(folder: string, options: SigningKeysOptions, logger: Logger) {
    this.#path = join(folder, 'keys.json');
    this.#options = options;
    this.#now = options.now ?? Date.now;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (this.#load() && (statSync(this.#path).mode & 0o077) !== 0) {
      logger.warn({ path: this.#path }, 'others could read the signing keys: made them private');
      chmodSync(this.#path, 0o600);
    }
    this.current();
  }

  /** The key that signs now; makes the first one, and the next one when it is time. */
  current(): { readonly id: string; readonly privateKey: KeyObject } {
    const now = this.#now();
    const { rotationMs } = this.#options;
    const newest = this.#keys.at(-1);
    if (!newest || now >= newest.createdAt + rotationMs) {
      // Another node of the same folder may have been first.
      this.#load();
      const latest = this.#keys.at(-1);
      if (!latest || now >= latest.createdAt + rotationMs)
        this.#rotate(now, latest === undefined ? 0 : leadMs);
    }
    const signing = this.#keys.findLast((key) => key.signsFrom <= now) ?? this.#keys[0];
    if (!signing) throw new VarveError('internal', 'NO_SIGNING_KEY', 'there is no key to sign tokens with');
    return signing;
  }

  find(kid: string | undefined): KeyObject | undefined {
    const find = (): KeyObject | undefined => this.#keys.find(({ id }) => id === kid)?.publicKey;
    return find() ?? (this.#stampOfFile() === this.#stamp ? undefined : (this.#load(), find()));
  }

  /** The public keys, RFC 7517. */
  jwks(): { readonly keys: readonly JWK[] } {
    this.current();
    const keys = this.#keys.map(({ id, publicKey }) => ({
      ...(publicKey.export({ format: 'jwk' }) as JWK),
      kid: id,
      use: 'sig',
      alg: 'ES256',
    }));
    return { keys };
  }

  #rotate(now: number, lead: number): void {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const key = {
      id: jwkThumbprint(publicKey),
      privateKey,
      publicKey,
      createdAt: now,
      signsFrom: now + lead,
    };
    const kept = this.#keys.filter((_, index) => {
      const follower = this.#keys[index + 1];
      return follower === undefined || follower.signsFrom + this.#options.keepMs > now;
    });
    this.#keys = [...kept, key];
    const stored: StoredKey[] = this.#keys.map((each) => ({
      id: each.id,
      createdAt: each.createdAt,
      signsFrom: each.signsFrom,
      privateKey: each.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    }));
    writeFileAtomic(this.#path, `${JSON.stringify({ keys: stored }, undefined, 2)}\n`, { mode: 0o600 });
    this.#stamp = this.#stampOfFile();
  }

  /** False when there is no file yet. */
  #load(): boolean {
    const stamp = this.#stampOfFile();
    if (stamp === '') return false;
    try {
      const { keys } = JSON.parse(readFileSync(this.#path, 'utf8')) as {
        readonly keys: readonly StoredKey[];
      };
      this.#keys = keys.map((stored) => {
        const privateKey = createPrivateKey(stored.privateKey);
        return { ...stored, privateKey, publicKey: createPublicKey(privateKey) };
      });
      this.#stamp = stamp;
      return true;
    } catch (error) {
      throw new VarveError(
        'invalid',
        'KEY_INVALID',
        `cannot use ${this.#path}: ${(error as Error).message}`,
        {
          subject: this.#path,
          cause: error,
          hint: 'remove it to get new keys: every token becomes invalid',
        },
      );
    }
  }

  #stampOfFile(): string {
    const stat = statSync(this.#path, { bigint: true, throwIfNoEntry: false });
    return stat ? `${stat.ino} ${stat.size} ${stat.mtimeNs}` : '';
  }
}
