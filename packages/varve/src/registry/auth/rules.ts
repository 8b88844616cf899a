import type { Action, Identity, RepositoryAction } from './access-control.ts';
import { glob, matchesAll } from '../../base/index.ts';

/** One rule, as the configuration has it. */
export interface Rule {
  readonly name?: string | undefined;
  readonly who: readonly string[];
  readonly repositories: readonly string[];
  readonly actions: readonly RepositoryAction[];
  readonly effect: 'allow' | 'deny';
}

/** The rules, and which groups they speak of have which members. */
export interface Policy {
  readonly rules: readonly Rule[];
  /** Members as `alice` or with their kind, `robot:ci`. */
  readonly groups: Readonly<Record<string, readonly string[]>>;
}

export interface Verdict {
  readonly allowed: boolean;
  /** The rule that decided; absent when none spoke and so the answer is no. */
  readonly rule?: string;
  /** The identity's own grant allowed it. */
  readonly granted?: true;
}

/**
 * Who may do what to a repository. Everything that an allow gives is given (rules and the identity's own grants); one
 * deny that speaks of it takes it away; what nothing speaks of is denied. The order of the rules does not matter.
 */
export function evaluate(
  policy: Policy,
  identity: Identity,
  repository: string,
  action: 'pull' | 'push' | 'delete',
): Verdict {
  const granted = (identity.grants ?? []).some(
    (grant) =>
      includes(grant.actions, action) &&
      grant.repositories.some((pattern) => glob(pattern).matches(repository)),
  );
  const groups = once(() => groupsOf(policy, identity));
  let allowedBy: string | undefined;
  for (const [index, rule] of policy.rules.entries()) {
    if (rule.effect === 'allow' && (allowedBy !== undefined || granted)) continue;
    if (!includes(rule.actions, action) || !speaksOf(rule, identity, groups)) continue;
    if (!rule.repositories.some((pattern) => matches(pattern, identity, repository))) continue;
    if (rule.effect === 'deny') return { allowed: false, rule: ruleName(rule, index) };
    allowedBy = ruleName(rule, index);
  }
  if (granted) return { allowed: true, granted };
  return allowedBy === undefined ? { allowed: false } : { allowed: true, rule: allowedBy };
}

/** The deny that speaks of this, if one does: what a token of another server cannot give. */
export function denial(
  policy: Policy,
  identity: Identity,
  repository: string,
  action: 'pull' | 'push' | 'delete',
): string | undefined {
  const verdict = evaluate(policy, { ...identity, grants: [] }, repository, action);
  return verdict.allowed ? undefined : verdict.rule;
}

/** An administrator is whom a rule gives `*` on `**`, and no rule denies the same. */
export function administers(policy: Policy, identity: Identity): Verdict {
  const groups = once(() => groupsOf(policy, identity));
  let allowedBy: string | undefined;
  for (const [index, rule] of policy.rules.entries()) {
    if (!rule.actions.includes('*') || !rule.repositories.some(matchesAll)) continue;
    if (!speaksOf(rule, identity, groups)) continue;
    if (rule.effect === 'deny') return { allowed: false, rule: ruleName(rule, index) };
    allowedBy ??= ruleName(rule, index);
  }
  return allowedBy === undefined ? { allowed: false } : { allowed: true, rule: allowedBy };
}

/** Whether any rule or grant allows the identity anything at all. */
export function allowsAnything(policy: Policy, identity: Identity): boolean {
  if ((identity.grants ?? []).length > 0) return true;
  const groups = once(() => groupsOf(policy, identity));
  return policy.rules.some((rule) => rule.effect === 'allow' && speaksOf(rule, identity, groups));
}

/** The globs that the rules and its grants let an identity pull from; what a deny takes away is still among them. */
export function pullableGlobs(policy: Policy, identity: Identity): string[] {
  const groups = once(() => groupsOf(policy, identity));
  const allowing = policy.rules.filter(
    (rule) => rule.effect === 'allow' && includes(rule.actions, 'pull') && speaksOf(rule, identity, groups),
  );
  const granted = (identity.grants ?? []).filter(({ actions }) => includes(actions, 'pull'));
  return [
    ...allowing.flatMap(({ repositories }) =>
      repositories.map((pattern) => withUser(pattern, identity)).filter((pattern) => pattern !== undefined),
    ),
    ...granted.flatMap(({ repositories }) => repositories),
  ];
}

/** Groups of an identity: those its proof came with, and those the configuration puts it in. */
export function groupsOf(policy: Policy, identity: Identity): string[] {
  const named = Object.entries(policy.groups)
    .filter(([, members]) =>
      members.some(
        (member) =>
          member === `${identity.kind}:${identity.name}` ||
          (identity.kind === 'user' && member === identity.name),
      ),
    )
    .map(([group]) => group);
  return [...new Set([...identity.groups, ...named])];
}

function ruleName(rule: Rule, index: number): string {
  return `auth.rules[${index}]${rule.name === undefined ? '' : ` (${rule.name})`}`;
}

function includes(actions: readonly string[], action: Action): boolean {
  return actions.includes('*') || actions.includes(action);
}

function matches(pattern: string, identity: Identity, repository: string): boolean {
  const own = withUser(pattern, identity);
  return own !== undefined && glob(own).matches(repository);
}

/** A glob with the user's name in it; undefined when the name is no path component: it must not become a pattern. */
function withUser(pattern: string, identity: Identity): string | undefined {
  if (!pattern.includes('${user}')) return pattern;
  if (identity.kind !== 'user' || !/^[a-z0-9]+(?:[._-]+[a-z0-9]+)*$/.test(identity.name)) return undefined;
  return pattern.replaceAll('${user}', identity.name);
}

/** Whether a rule's `who` means the identity. An allow for `anonymous` is for everyone: a login takes no right away. */
function speaksOf(rule: Rule, identity: Identity, groups: () => readonly string[]): boolean {
  const isAnonymous = identity.kind === 'anonymous';
  return rule.who.some((who) => {
    if (who === 'everyone') return true;
    if (who === 'anonymous') return isAnonymous || rule.effect === 'allow';
    if (isAnonymous) return false;
    if (who === 'authenticated') return true;
    const colon = who.indexOf(':');
    const [kind, pattern] = [who.slice(0, colon), glob(who.slice(colon + 1))];
    if (kind === 'group') return groups().some((group) => pattern.matches(group));
    return kind === identity.kind && pattern.matches(identity.name);
  });
}

function once<T>(work: () => T): () => T {
  let kept: { readonly value: T } | undefined;
  return () => (kept ??= { value: work() }).value;
}
