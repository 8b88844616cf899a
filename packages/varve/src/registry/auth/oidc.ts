import type { JWTPayload } from 'jose';
import type { Logger } from 'pino';
import { glob, VarveError } from '../../base/index.ts';
import type { RegistryConfig } from '../config/index.ts';
import type { TokenHolder } from './embedded-tokens.ts';
import { fetchJson } from './fetch-json.ts';
import { type KeySource, RemoteKeys } from './key-source.ts';
import { keySetOf } from './outside-tokens.ts';
import { TokenError } from './token-error.ts';
import { verifyJwt } from './verify-jwt.ts';

type IssuerConfig = NonNullable<NonNullable<RegistryConfig['auth']>['oidc']>[number];
type Conditions = Readonly<Record<string, string | readonly string[]>>;

/** Who a token of an OpenID provider is for. */
export interface OidcIdentity extends TokenHolder {
  /** The robot that it acts as, when a workload is mapped to one. */
  readonly robot?: string;
  /** Seconds since 1970. */
  readonly expires: number;
}

/**
 * Tokens of OpenID Connect providers: of people, by claims that name them and their groups, and of workloads (CI
 * jobs), by conditions on claims. Keys come from the issuer's discovery document, or from where the configuration
 * says; nothing else is asked.
 */
export class OidcIssuers {
  readonly #issuers = new Map<string, { readonly config: IssuerConfig; readonly keys: KeySource }>();

  constructor(configs: readonly IssuerConfig[], logger: Logger) {
    for (const config of configs) {
      const keys =
        config.jwks === undefined
          ? new RemoteKeys(() => discover(config.issuer), logger)
          : keySetOf(config.jwks, logger);
      this.#issuers.set(config.issuer, { config, keys });
    }
  }

  has(issuer: string | undefined): boolean {
    return issuer !== undefined && this.#issuers.has(issuer);
  }

  /**
   * @param issuer what the token says, unverified: it picks who verifies
   * @throws TokenError
   */
  async verify(issuer: string, token: string): Promise<OidcIdentity> {
    const entry = this.#issuers.get(issuer);
    if (!entry) throw new TokenError('the token is of another issuer');
    const { config, keys } = entry;
    const payload = await verifyJwt(token, {
      algorithms: config.algorithms,
      issuer,
      audience: config.audience,
      keys: ({ kid, alg = '' }) => keys.find(kid, alg),
    });
    const found = identityOf(config, payload);
    if (!found) throw new TokenError('no condition of its issuer matches the claims of the token');
    return { ...found, expires: payload.exp ?? 0 };
  }
}

/** Who the claims of a verified token are, by the configuration of its issuer; the first mapping that matches decides. */
function identityOf(config: IssuerConfig, claims: JWTPayload): Omit<OidcIdentity, 'expires'> | undefined {
  for (const workload of config.workloads) {
    if (!holds(workload.when, claims)) continue;
    const name = workload.name.replace(/\{([^{}]+)\}/g, (_, claim: string) => text(claims[claim]) ?? '');
    return {
      kind: 'workload',
      name: name.slice(0, 255),
      via: 'oidc',
      groups: workload.groups,
      ...(workload.robot === undefined ? {} : { robot: workload.robot }),
    };
  }
  const { people } = config;
  if (!people || !holds(people.when, claims)) return undefined;
  const name = text(claims[people.username]);
  if (name === undefined || name === '') return undefined;
  // Who may write any address into a profile must not become its owner.
  if (people.username === 'email' && claims['email_verified'] !== true) return undefined;
  const groups = people.groups === undefined ? [] : list(claims[people.groups]);
  return {
    kind: 'user',
    name: `${people.prefix}${name}`.slice(0, 255),
    via: 'oidc',
    groups: groups.slice(0, 200).map((group) => `${people.prefix}${group}`),
  };
}

/** Every claim named has to match one of its globs; a claim that is a list, with one of its values. */
function holds(conditions: Conditions, claims: JWTPayload): boolean {
  return Object.entries(conditions).every(([claim, patterns]) => {
    const values = list(Object.hasOwn(claims, claim) ? claims[claim] : undefined);
    const globs = typeof patterns === 'string' ? [patterns] : patterns;
    return values.some((value) => globs.some((pattern) => glob(pattern).matches(value)));
  });
}

function list(value: unknown): string[] {
  const values: unknown[] = Array.isArray(value) ? value : [value];
  return values.map(text).filter((item) => item !== undefined);
}

function text(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

/** OpenID Connect Discovery 1.0, section 4: the issuer in the document is the issuer, and its keys are at its host. */
async function discover(issuer: string): Promise<URL> {
  const failed = (why: string): VarveError =>
    new VarveError('unavailable', 'DISCOVERY_FAILED', `the discovery document of ${issuer} ${why}`, {
      subject: issuer,
    });
  const document = (await fetchJson(
    new URL(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`),
  )) as { readonly issuer?: unknown; readonly jwks_uri?: unknown } | null;
  if (document?.issuer !== issuer) throw failed('is of another issuer');
  const keys = typeof document.jwks_uri === 'string' ? URL.parse(document.jwks_uri) : null;
  if (!keys) throw failed('names no keys');
  if (keys.host !== new URL(issuer).host) {
    throw failed(`sends for keys to ${keys.host}: set \`jwks\` to allow it`);
  }
  return keys;
}
