import type { RegistryConfig } from '../config/index.ts';
import { anonymous, type Identity, type RepositoryAction, subjectOf } from './access-control.ts';
import { actionsByRules, decide } from './decide.ts';
import { decisionRules } from './open-auth.ts';
import { groupsOf } from './rules.ts';
import { formatScope, scopeFor } from './scopes.ts';

/** The answer to "may they?", as data. */
export interface ExplainedAccess {
  readonly subject: string;
  readonly groups: readonly string[];
  /** The scope that a client would ask for. */
  readonly asked: string;
  /** What of the repository's actions the subject has. */
  readonly held: readonly string[];
  readonly allowed: boolean;
  readonly reason: string;
  readonly rule?: string;
}

/**
 * Explains what a configuration lets somebody do, without a server. It goes by the same function as the server does.
 * @param identity of which `token` is not looked at: scopes only take away
 */
export function explainAccess(
  auth: RegistryConfig['auth'],
  identity: Identity,
  repository: string,
  action: 'pull' | 'push' | 'delete',
): ExplainedAccess {
  const resource = { type: 'repository', name: repository } as const;
  const { token: _, ...holder } = identity;
  const asked = formatScope(scopeFor(resource, action) ?? { ...resource, actions: [] });
  if (!auth) {
    return {
      subject: subjectOf(holder),
      groups: [],
      asked,
      held: ['pull', 'push', 'delete'],
      allowed: true,
      reason: 'the registry is open: the configuration has no block auth',
    };
  }
  const rules = decisionRules(auth);
  const { allowed, reason } = decide(rules, holder, resource, action);
  return {
    subject: subjectOf(holder),
    groups: rules.policy ? groupsOf(rules.policy, holder) : holder.groups,
    asked,
    held: actionsByRules(rules, holder, repository) satisfies RepositoryAction[],
    allowed,
    reason: reason?.text ?? '',
    ...(reason?.rule === undefined ? {} : { rule: reason.rule }),
  };
}

/** The identity that a command line names. */
export function namedIdentity(
  kind: Identity['kind'],
  name: string,
  groups: readonly string[] = [],
): Identity {
  return kind === 'anonymous' ? { ...anonymous, groups } : { kind, name, groups, via: 'none' };
}
