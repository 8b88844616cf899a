import type { X509Certificate } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { AccessEntry } from './scopes.ts';

/** What of a request tells who asks. */
export interface AccessRequest {
  readonly headers: IncomingHttpHeaders;
  /** Address of the peer. */
  readonly remote: string | undefined;
  /** Whether the connection is TLS. */
  readonly encrypted: boolean;
  /** The certificate of a client whose chain was verified by the listener. */
  readonly certificate?: X509Certificate | undefined;
}

/** `workload` is a job of an outside system (CI), known by a token of its issuer. */
export type IdentityKind = 'anonymous' | 'user' | 'robot' | 'workload';

/** How an identity was proven. */
export type Proof = 'none' | 'htpasswd' | 'robot' | 'token' | 'oidc' | 'certificate';

/** Actions on repositories, by glob: what a robot was created with. */
export interface Grant {
  readonly repositories: readonly string[];
  /** pull, push, delete or `*`. */
  readonly actions: readonly string[];
}

/** Who asks. */
export interface Identity {
  readonly kind: IdentityKind;
  /** Without its kind: `alice`; empty for anonymous. */
  readonly name: string;
  readonly groups: readonly string[];
  readonly via: Proof;
  /** What it holds besides the rules. */
  readonly grants?: readonly Grant[];
  /** Present when it came with a token of Docker's protocol: the token's `access`, and whose token it is. */
  readonly token?: { readonly access: readonly AccessEntry[]; readonly issuer: 'embedded' | 'outside' };
  /** The credentials were wrong, and why: nothing is allowed to it. */
  readonly refusal?: {
    readonly reason: string;
    readonly scheme: 'basic' | 'bearer' | 'certificate';
    /** The user name that came with them. */
    readonly claimed?: string;
  };
  readonly remote?: string | undefined;
}

/** What is asked for: a repository by name, or the registry itself (`base`, `catalog`, `admin`). */
export interface Resource {
  readonly type: 'repository' | 'registry';
  readonly name: string;
}

export type RepositoryAction = 'pull' | 'push' | 'delete' | '*';

/** What is done: the actions of the token spec's scopes, the listing of the catalog, and what only administrators do. */
export type Action = 'pull' | 'push' | 'delete' | 'list' | 'admin';

/** Why a decision fell as it did. */
export interface Reason {
  /** A sentence without full stop. */
  readonly text: string;
  /** The rule that decided, as `auth.rules[2] (team-a)`. */
  readonly rule?: string;
  /** What the identity holds on this resource, as scopes. */
  readonly held?: readonly string[];
}

export type Decision =
  | { readonly allowed: true; readonly reason?: Reason }
  | {
      readonly allowed: false;
      /** True: other credentials, or a token with more scopes, may change it (401). False: they will not (403). */
      readonly retry: boolean;
      /** RFC 6750 section 3.1, for the challenge. */
      readonly error?: 'invalid_token' | 'insufficient_scope';
      readonly reason: Reason;
    };

/**
 * The one place that decides who may do what, for the API, the mounts between repositories and the pages. Its methods
 * may answer at once or later.
 */
export interface AccessControl {
  /**
   * Reads the credentials of a request. Wrong ones are an identity with a `refusal`.
   * @throws RegistryError `TOOMANYREQUESTS` after too many wrong ones
   */
  identify(request: AccessRequest): Identity | Promise<Identity>;
  decide(identity: Identity, resource: Resource, action: Action): Decision | Promise<Decision>;
  /** Whether a listing shows a repository to the identity, once listing is allowed to it. Not logged. */
  sees(identity: Identity, repository: string): boolean;
  /** The answer of {@link AccessControl.decide}, for a page that shows what could be done. Not logged. */
  wouldAllow?(identity: Identity, resource: Resource, action: Action): boolean;
  /**
   * What the names that {@link AccessControl.sees} shows begin with, so that a listing looks nowhere else: ascending,
   * none the beginning of another. Everywhere (`['']`) when absent.
   */
  prefixes?(identity: Identity): readonly string[];
  /** The value of WWW-Authenticate that goes with a 401; undefined when there is no way to authenticate. */
  challenge(
    request: AccessRequest,
    scopes: readonly AccessEntry[],
    error?: 'invalid_token' | 'insufficient_scope',
  ): string | undefined;
}

export const anonymous: Identity = { kind: 'anonymous', name: '', groups: [], via: 'none' };
const allowed: Decision = { allowed: true };

/** Everyone may do everything: the registry that starts with no configuration, on the loopback address. */
export const openAccess: AccessControl = {
  identify: () => anonymous,
  decide: () => allowed,
  sees: () => true,
  challenge: () => undefined,
};

/** `user:alice`, `robot:ci`, `anonymous`: how an identity is written in rules and logs, and what an upload belongs to. */
export function subjectOf(identity: Identity): string {
  return identity.kind === 'anonymous' ? 'anonymous' : `${identity.kind}:${identity.name}`;
}
