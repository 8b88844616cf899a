import { createPublicKey, type KeyObject, type X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ProtectedHeaderParameters } from 'jose';
import type { Logger } from 'pino';
import { VarveError } from '../../base/index.ts';
import type { RegistryConfig } from '../config/index.ts';
import { verifyChain } from './certificate-chain.ts';
import { isTrustworthy } from './fetch-json.ts';
import { FileKeys, FixedKeys, type KeySource, RemoteKeys } from './key-source.ts';
import { type AccessEntry, readAccessClaim } from './scopes.ts';
import { TokenError } from './token-error.ts';
import { certificatesOfPem, keysOfCertificates, keysOfPem, type TrustedKey } from './trusted-keys.ts';
import { verifyJwt } from './verify-jwt.ts';

type TokenConfig = NonNullable<NonNullable<RegistryConfig['auth']>['token']>;

/** What a token of an outside server says. */
export interface OutsideToken {
  readonly subject: string;
  readonly access: readonly AccessEntry[];
  readonly groups: readonly string[];
  /** Seconds since 1970. */
  readonly expires: number;
}

/** Verifies the tokens of an outside auth server: Docker's token protocol, the registry's side. */
export class OutsideTokens {
  readonly #config: TokenConfig;
  readonly #roots: readonly X509Certificate[];
  readonly #sources: readonly KeySource[];

  /** @throws VarveError `invalid` (`KEY_INVALID`) for keys that cannot be read */
  constructor(config: TokenConfig, logger: Logger) {
    this.#config = config;
    const { rootcertbundle, jwks, publickeys } = config;
    this.#roots = rootcertbundle === undefined ? [] : certificatesOfPem(read(rootcertbundle), rootcertbundle);
    const fixed: TrustedKey[] = keysOfCertificates(this.#roots);
    for (const path of publickeys) fixed.push(...keysOfPem(read(path), path));
    const sources: KeySource[] = [new FixedKeys(fixed)];
    if (jwks !== undefined) sources.push(keySetOf(jwks, logger));
    this.#sources = sources;
  }

  get issuer(): string {
    return this.#config.issuer;
  }

  /** @throws TokenError */
  async verify(token: string): Promise<OutsideToken> {
    const payload = await verifyJwt(token, {
      algorithms: this.#config.signingalgorithms,
      issuer: this.#config.issuer,
      audience: [this.#config.service],
      keys: (header) => this.#keysFor(header),
    });
    const access = readAccessClaim(payload['access']);
    if (!access) throw new TokenError('the access claim is malformed');
    const groups = payload['groups'];
    return {
      subject: typeof payload.sub === 'string' ? payload.sub : '',
      access,
      groups: Array.isArray(groups) ? groups.filter((group) => typeof group === 'string') : [],
      expires: payload.exp ?? 0,
    };
  }

  /** As docker/distribution: the chain in the header, else the key it names. A key in the header is not believed. */
  async #keysFor(header: ProtectedHeaderParameters): Promise<readonly KeyObject[]> {
    if (header.x5c !== undefined) return [verifyChain(header.x5c, this.#roots).publicKey];
    if (header.jwk !== undefined) return [this.#chainedKey(header.jwk)];
    const { kid, alg = '' } = header;
    if (kid !== undefined && typeof kid !== 'string') throw new TokenError('the name of the key is no text');
    const found: KeyObject[] = [];
    for (const source of this.#sources) found.push(...(await source.find(kid, alg)));
    return found;
  }

  #chainedKey(jwk: unknown): KeyObject {
    const { x5c, ...rest } = jwk as { readonly x5c?: unknown };
    if (x5c === undefined) throw new TokenError('the token brings its own key');
    const { publicKey } = verifyChain(x5c, this.#roots);
    let embedded: KeyObject;
    try {
      embedded = createPublicKey({ key: rest, format: 'jwk' });
    } catch (error) {
      throw new TokenError('the key in the token is malformed', { cause: error });
    }
    if (!embedded.equals(publicKey)) throw new TokenError('the key in the token is not its certificate’s');
    return publicKey;
  }
}

/** A JWK set by path or URL. */
export function keySetOf(place: string, logger: Logger): KeySource {
  const url = /^https?:/.test(place) ? URL.parse(place) : null;
  if (!url) return new FileKeys(place, logger);
  if (!isTrustworthy(url)) {
    throw new VarveError('invalid', 'KEY_INVALID', `keys are not fetched in clear: ${url.origin}`);
  }
  return new RemoteKeys(async () => url, logger);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new VarveError('invalid', 'KEY_INVALID', `cannot read ${path}: ${(error as Error).message}`, {
      subject: path,
      cause: error,
    });
  }
}
