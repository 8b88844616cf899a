import type { Logger } from 'pino';
import { VarveError } from '../../base/index.ts';
import { RegistryError } from '../errors.ts';
import type { RobotRecords } from '../metadata/index.ts';
import {
  type AccessControl,
  type AccessRequest,
  type Action,
  anonymous,
  type Decision,
  type Identity,
  type Resource,
  subjectOf,
} from './access-control.ts';
import { readAuthorization } from './authorization.ts';
import { challengeOf, type ChallengeOptions } from './challenge.ts';
import { type DecisionRules, decide, seesRepository, visiblePrefixes } from './decide.ts';
import type { EmbeddedTokens, TokenHolder } from './embedded-tokens.ts';
import type { OidcIdentity, OidcIssuers } from './oidc.ts';
import type { OutsideTokens } from './outside-tokens.ts';
import type { Passwords } from './passwords.ts';
import { hasExpired, robotFingerprint, robotPrefix } from './robots.ts';
import { type AccessEntry, formatScope } from './scopes.ts';
import { TokenError } from './token-error.ts';
import { TokenCache } from './token-cache.ts';
import { peekIssuer } from './verify-jwt.ts';

/** What a configured access control is made of; what is absent is not configured. */
export interface AccessParts {
  readonly rules: DecisionRules;
  readonly challenge: ChallengeOptions | undefined;
  readonly passwords: Passwords;
  readonly robots: RobotRecords | undefined;
  readonly embedded: EmbeddedTokens | undefined;
  readonly outside: OutsideTokens | undefined;
  readonly oidc: OidcIssuers | undefined;
  readonly holderOfCertificate: ((request: AccessRequest) => TokenHolder | undefined) | undefined;
  readonly audit: 'all' | 'denied' | 'none';
  readonly logger: Logger;
}

/** Access control as the configuration's block `auth` says. */
export class ConfiguredAccess implements AccessControl {
  readonly #parts: AccessParts;
  readonly #tokens = new TokenCache();

  constructor(parts: AccessParts) {
    this.#parts = parts;
  }

  async identify(request: AccessRequest): Promise<Identity> {
    const { remote } = request;
    const credentials = readAuthorization(request.headers.authorization);
    try {
      switch (credentials.scheme) {
        case 'basic':
          return {
            ...(await this.#identifyPassword(credentials.user, credentials.password, remote)),
            remote,
          };
        case 'bearer':
          return { ...(await this.#identifyToken(credentials.token)), remote };
        case 'unknown':
          return refused('the Authorization header is malformed', 'basic', remote);
        case 'none':
          return { ...this.#identifyConnection(request), remote };
      }
    } catch (error) {
      if (error instanceof TokenError) return refused(error.message, 'bearer', remote);
      if (VarveError.is(error) && error.kind === 'unavailable' && !(error instanceof RegistryError)) {
        throw new RegistryError('UNAVAILABLE', {
          message: 'the keys of the token’s issuer are not available',
          headers: { 'Retry-After': '10' },
          cause: error,
        });
      }
      throw error;
    }
  }

  decide(identity: Identity, resource: Resource, action: Action): Decision {
    const decision = decide(this.#parts.rules, identity, resource, action);
    this.#audit(identity, resource, action, decision);
    return decision;
  }

  wouldAllow(identity: Identity, resource: Resource, action: Action): boolean {
    return decide(this.#parts.rules, identity, resource, action).allowed;
  }

  sees(identity: Identity, repository: string): boolean {
    return seesRepository(this.#parts.rules, identity, repository);
  }

  prefixes(identity: Identity): readonly string[] {
    return visiblePrefixes(this.#parts.rules, identity);
  }

  challenge(
    request: AccessRequest,
    scopes: readonly AccessEntry[],
    error?: 'invalid_token' | 'insufficient_scope',
  ): string | undefined {
    const { challenge } = this.#parts;
    return challenge && challengeOf(challenge, request, scopes, error);
  }

  /** Logs a token that was given. */
  auditToken(identity: Identity, asked: readonly AccessEntry[], given: readonly AccessEntry[]): void {
    const { audit, logger } = this.#parts;
    const [wanted, got] = [asked.map(formatScope), given.map(formatScope)];
    const narrowed = wanted.some((scope) => !got.includes(scope));
    if (audit === 'none' || (audit === 'denied' && !narrowed)) return;
    logger.info(
      {
        subject: subjectOf(identity),
        via: identity.via,
        remote: identity.remote,
        asked: wanted,
        given: got,
      },
      'token given',
    );
  }

  /** What the decisions go by. */
  get rules(): DecisionRules {
    return this.#parts.rules;
  }

  /** Who a refresh token still is: its user is there with the same password, its robot is not removed. */
  async identifyHolder(holder: TokenHolder & Partial<Identity>, fingerprint?: string): Promise<Identity> {
    const { passwords, robots } = this.#parts;
    if (holder.kind === 'robot') {
      const record = await robots?.find(holder.name);
      if (!record || hasExpired(record)) throw new TokenError('the robot was removed or has expired');
      if (fingerprint !== undefined && fingerprint !== robotFingerprint(record)) {
        throw new TokenError('the secret of the robot has changed');
      }
      return { ...holder, grants: record.grants };
    }
    if (holder.via === 'htpasswd') {
      const current = passwords.fingerprint(holder.name);
      if (current === undefined) throw new TokenError('the user was removed');
      if (fingerprint !== undefined && current !== fingerprint)
        throw new TokenError('the password has changed');
    }
    return { ...holder };
  }

  /** What changes with an identity's secret; empty for one whose secret is elsewhere. */
  async fingerprint(identity: Identity): Promise<string> {
    const { passwords, robots } = this.#parts;
    if (identity.via === 'htpasswd') return passwords.fingerprint(identity.name) ?? '';
    const record = identity.kind === 'robot' ? await robots?.find(identity.name) : undefined;
    return record ? robotFingerprint(record) : '';
  }

  async #identifyPassword(user: string, password: string, remote: string | undefined): Promise<Identity> {
    const { passwords, robots, oidc } = this.#parts;
    const issuer = oidc && peekIssuer(password);
    if (oidc && issuer !== undefined && oidc.has(issuer)) {
      return await this.#identifyOidc(await oidc.verify(issuer, password));
    }
    if (!(await passwords.verify(user, password, remote))) {
      return refused('wrong user name or password', 'basic', remote, user);
    }
    if (!user.startsWith(robotPrefix)) return { kind: 'user', name: user, groups: [], via: 'htpasswd' };
    const name = user.slice(robotPrefix.length);
    const record = await robots?.find(name);
    if (!record) return refused('wrong user name or password', 'basic', remote, user);
    return { kind: 'robot', name, groups: [], via: 'robot', grants: record.grants };
  }

  async #identifyToken(token: string): Promise<Identity> {
    const identity = await this.#tokens.get(token, () => this.#verifyToken(token));
    // A token outlives neither its user nor its robot.
    const ours = identity.kind === 'robot' || identity.token?.issuer === 'embedded';
    return ours && identity.kind !== 'anonymous' ? await this.identifyHolder(identity) : identity;
  }

  async #verifyToken(token: string): Promise<{ readonly identity: Identity; readonly expires: number }> {
    const { embedded, outside, oidc } = this.#parts;
    const issuer = peekIssuer(token);
    if (issuer === undefined) throw new TokenError('not a signed token');
    if (embedded && issuer === embedded.options.issuer) return await embedded.verify(token);
    if (outside && issuer === outside.issuer) {
      const { subject, access, groups, expires } = await outside.verify(token);
      const kind = subject === '' ? 'anonymous' : 'user';
      const identity: Identity = {
        kind,
        name: subject,
        groups,
        via: 'token',
        token: { access, issuer: 'outside' },
      };
      return { identity, expires };
    }
    if (oidc?.has(issuer)) {
      const found = await oidc.verify(issuer, token);
      return { identity: await this.#identifyOidc(found), expires: found.expires };
    }
    throw new TokenError('the token is of another issuer');
  }

  async #identifyOidc({ robot, kind, name, groups, via }: OidcIdentity): Promise<Identity> {
    if (robot === undefined) return { kind, name, groups, via };
    const record = await this.#parts.robots?.find(robot);
    if (!record || hasExpired(record))
      throw new TokenError('the robot of this workload is missing or has expired');
    return { kind: 'robot', name: robot, groups, via: 'oidc', grants: record.grants };
  }

  #identifyConnection(request: AccessRequest): Identity {
    if (!request.certificate || !this.#parts.holderOfCertificate) return anonymous;
    return (
      this.#parts.holderOfCertificate(request) ??
      refused('the client certificate has no name that is asked for', 'certificate', request.remote)
    );
  }

  #audit(identity: Identity, resource: Resource, action: Action, decision: Decision): void {
    const { audit, logger } = this.#parts;
    if (audit === 'none' || (audit === 'denied' && decision.allowed)) return;
    logger.info(
      {
        subject: subjectOf(identity),
        ...(identity.refusal?.claimed === undefined ? {} : { claimed: identity.refusal.claimed }),
        via: identity.via,
        remote: identity.remote,
        resource: `${resource.type}:${resource.name}`,
        action,
        allowed: decision.allowed,
        ...(decision.reason?.rule === undefined ? {} : { rule: decision.reason.rule }),
        ...(decision.reason === undefined ? {} : { reason: decision.reason.text }),
        ...(identity.token === undefined ? {} : { scopes: identity.token.access.map(formatScope) }),
      },
      'access decided',
    );
  }
}

function refused(
  reason: string,
  scheme: 'basic' | 'bearer' | 'certificate',
  remote: string | undefined,
  claimed?: string,
): Identity {
  const named = claimed === undefined ? {} : { claimed: claimed.slice(0, 255) };
  return { ...anonymous, refusal: { reason, scheme, ...named }, remote };
}
