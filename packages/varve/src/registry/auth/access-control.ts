import type { IncomingHttpHeaders } from 'node:http';

/** Who asks. Today everyone is anonymous; htpasswd, tokens and OIDC fill in the rest. */
export interface Identity {
  readonly name: string | undefined;
}

/** What is asked for: a repository by name, or the registry itself (`catalog`, `base`). */
export interface Resource {
  readonly type: 'repository' | 'registry';
  readonly name: string;
}

/** The actions of the token spec's scopes. */
export type Action = 'pull' | 'push' | 'delete' | 'list';

export type Decision =
  | { readonly allowed: true }
  /** `challenge` is the value of WWW-Authenticate: with it the answer is 401, without 403. */
  | { readonly allowed: false; readonly challenge?: string };

/**
 * The one place that decides who may do what, for the API, the mounts between repositories and the pages.
 * Both methods may answer at once or later.
 */
export interface AccessControl {
  /** Reads the credentials of a request. Wrong ones are an identity that nothing is allowed to. */
  identify(headers: IncomingHttpHeaders): Identity | Promise<Identity>;
  decide(identity: Identity, resource: Resource, action: Action): Decision | Promise<Decision>;
}

const anonymous: Identity = { name: undefined };
const allowed: Decision = { allowed: true };

/** Everyone may do everything: the registry that starts with no configuration, on the loopback address. */
export const openAccess: AccessControl = {
  identify: () => anonymous,
  decide: () => allowed,
};
