import type { Logger } from 'pino';
import { parseDuration } from '../../base/index.ts';
import type { RegistryConfig } from '../config/index.ts';
import type { RobotRecords } from '../metadata/index.ts';
import { type AccessControl, openAccess } from './access-control.ts';
import type { ChallengeOptions } from './challenge.ts';
import { holderOfCertificate } from './client-certificate.ts';
import { ConfiguredAccess } from './configured-access.ts';
import type { DecisionRules } from './decide.ts';
import { EmbeddedTokens } from './embedded-tokens.ts';
import { Htpasswd } from './htpasswd.ts';
import { OidcIssuers } from './oidc.ts';
import { OutsideTokens } from './outside-tokens.ts';
import { Passwords } from './passwords.ts';
import { Sessions } from './sessions.ts';
import { SigningKeys } from './signing-keys.ts';
import { TokenServer } from './token-server.ts';

type AuthConfig = NonNullable<RegistryConfig['auth']>;

/** What access control needs besides its configuration. */
export interface AuthContext {
  readonly robots: RobotRecords;
  /** Where the signing keys go when the configuration does not say. */
  readonly keyFolder: string;
  readonly logger: Logger;
}

/** Access control with what goes with it. */
export interface Auth extends AsyncDisposable {
  readonly access: AccessControl;
  /** False for the open registry. */
  readonly configured: boolean;
  readonly tokenServer: TokenServer | undefined;
  /** Absent where nobody has a password: there is nothing to log in with. */
  readonly sessions: Sessions | undefined;
}

/**
 * Makes the access control of a configuration's block `auth`; without one everyone may do everything.
 * @throws VarveError `invalid` (`HTPASSWD_UNREADABLE`, `KEY_INVALID`)
 */
export function openAuth(config: AuthConfig | undefined, context: AuthContext): Auth {
  if (!config) {
    return {
      access: openAccess,
      configured: false,
      tokenServer: undefined,
      sessions: undefined,
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
  const { logger, robots } = context;
  const htpasswd = config.htpasswd && new Htpasswd(config.htpasswd.path, logger);
  const withRobots = config.robots.enabled ? robots : undefined;
  const passwords = new Passwords(htpasswd, withRobots);
  const embedded = config.tokenserver && openTokens(config.tokenserver, context);
  const challenge = challengeFor(config);
  const { certificate } = config;
  const access = new ConfiguredAccess({
    rules: decisionRules(config),
    challenge,
    passwords,
    robots: withRobots,
    embedded,
    outside: config.token && new OutsideTokens(config.token, logger),
    oidc: config.oidc && new OidcIssuers(config.oidc, logger),
    holderOfCertificate:
      certificate &&
      ((request) => request.certificate && holderOfCertificate(request.certificate, certificate)),
    audit: config.audit,
    logger,
  });
  return {
    access,
    configured: true,
    tokenServer: embedded && new TokenServer(access, embedded),
    sessions: htpasswd || withRobots || config.oidc ? new Sessions(access) : undefined,
    [Symbol.asyncDispose]: () => passwords[Symbol.asyncDispose](),
  };
}

/** What decisions go by, of a configuration. */
export function decisionRules(config: AuthConfig): DecisionRules {
  return {
    policy: config.rules && { rules: config.rules, groups: config.groups },
    canAuthenticate: challengeFor(config) !== undefined,
  };
}

function challengeFor({
  token,
  tokenserver,
  htpasswd,
  oidc,
  robots,
  rules,
}: AuthConfig): ChallengeOptions | undefined {
  if (token) {
    const { service, realm, autoredirect, autoredirectpath: path } = token;
    return {
      scheme: 'bearer',
      service,
      // As docker/distribution: redirected realms are always https.
      realm: autoredirect || realm === undefined ? { path, encrypted: true } : { url: realm },
    };
  }
  if (tokenserver) {
    const { service, realm } = tokenserver;
    return { scheme: 'bearer', service, realm: realm === undefined ? { path: '/token' } : { url: realm } };
  }
  const passwords = htpasswd ?? oidc ?? (robots.enabled && rules?.some(({ who }) => who.some(isRobot)));
  return passwords ? { scheme: 'basic', realm: htpasswd?.realm ?? 'registry' } : undefined;
}

function isRobot(who: string): boolean {
  return who.startsWith('robot:') || who === 'authenticated';
}

function openTokens(config: NonNullable<AuthConfig['tokenserver']>, context: AuthContext): EmbeddedTokens {
  const seconds = (text: string): number => Math.max(1, Math.round(parseDuration(text) / 1e9));
  const lifetime = seconds(config.expiration);
  const refreshLifetime = seconds(config.refreshexpiration);
  const keys = new SigningKeys(
    config.keys ?? context.keyFolder,
    {
      rotationMs: seconds(config.rotation) * 1000,
      keepMs: Math.max(lifetime, refreshLifetime) * 1000,
    },
    context.logger,
  );
  return new EmbeddedTokens(keys, {
    issuer: config.issuer,
    service: config.service,
    lifetime,
    refreshLifetime,
  });
}
