import {
  type Action,
  type Decision,
  type Identity,
  type Reason,
  type Resource,
  subjectOf,
} from './access-control.ts';
import { glob } from '../../base/index.ts';
import {
  administers,
  allowsAnything,
  denial,
  evaluate,
  type Policy,
  pullableGlobs,
  type Verdict,
} from './rules.ts';
import { type AccessEntry, covers, formatScope } from './scopes.ts';

/** What decisions go by: data, so that the same function explains them. */
export interface DecisionRules {
  /** Absent: whoever is known may do everything, and nobody else anything. */
  readonly policy: Policy | undefined;
  /** Whether there is a way to authenticate at all. */
  readonly canAuthenticate: boolean;
}

const repositoryActions = ['pull', 'push', 'delete'] as const;

/** Who may do what, and why. Pure: asks nothing and keeps nothing. */
export function decide(
  rules: DecisionRules,
  identity: Identity,
  resource: Resource,
  action: Action,
): Decision {
  const { refusal } = identity;
  if (refusal) {
    const error = refusal.scheme === 'bearer' ? { error: 'invalid_token' as const } : {};
    return { allowed: false, retry: true, ...error, reason: { text: refusal.reason } };
  }
  if (resource.type === 'repository') {
    if (action === 'list' || action === 'admin')
      return no(identity, { text: 'no such action on a repository' });
    return decideRepository(rules, identity, resource, action);
  }
  if (action === 'admin') return decideAdmin(rules, identity);
  if (action === 'list') return decideCatalog(rules, identity, resource);
  return decideBase(rules, identity);
}

/** Whether a listing shows a repository. */
export function seesRepository(rules: DecisionRules, identity: Identity, repository: string): boolean {
  if (identity.refusal) return false;
  if (identity.token?.issuer === 'outside') {
    return !rules.policy || denial(rules.policy, identity, repository, 'pull') === undefined;
  }
  return byRules(rules, identity, repository, 'pull').allowed;
}

/** What the names that {@link seesRepository} shows begin with: ascending, none the beginning of another. */
export function visiblePrefixes({ policy }: DecisionRules, identity: Identity): string[] {
  if (identity.token?.issuer === 'outside' || (!policy && identity.kind === 'user')) return [''];
  const prefixes = pullableGlobs(policy ?? { rules: [], groups: {} }, identity).map(
    (text) => glob(text).prefix,
  );
  const sorted = [...new Set(prefixes)].sort();
  return sorted.filter((prefix) => !sorted.some((other) => other !== prefix && prefix.startsWith(other)));
}

/** The actions on a repository that the rules give an identity, whatever a token of it says. */
export function actionsByRules(
  rules: DecisionRules,
  identity: Identity,
  repository: string,
): ('pull' | 'push' | 'delete')[] {
  return repositoryActions.filter((action) => byRules(rules, identity, repository, action).allowed);
}

/** What of the scopes asked for an identity gets: the narrowing of Docker's token protocol. */
export function narrow(
  rules: DecisionRules,
  identity: Identity,
  asked: readonly AccessEntry[],
): AccessEntry[] {
  const granted: AccessEntry[] = [];
  for (const { type, name, actions } of asked) {
    if (type === 'repository') {
      const may = actionsByRules(rules, identity, name);
      const given = actions.includes('*')
        ? [...may, ...(may.length === repositoryActions.length ? ['*'] : [])]
        : may.filter((action) => actions.includes(action));
      if (given.length > 0) granted.push({ type, name, actions: given });
    } else if (type === 'registry' && actions.includes('*')) {
      const admin = name === 'admin' && decideAdmin(rules, identity).allowed;
      const catalog = name === 'catalog' && mayList(rules, identity);
      if (admin || catalog) granted.push({ type, name, actions: ['*'] });
    }
  }
  return granted;
}

function byRules(
  { policy }: DecisionRules,
  identity: Identity,
  repository: string,
  action: 'pull' | 'push' | 'delete',
): Verdict {
  if (policy) return evaluate(policy, identity, repository, action);
  if (identity.kind === 'user') return { allowed: true };
  return evaluate({ rules: [], groups: {} }, identity, repository, action);
}

function decideRepository(
  rules: DecisionRules,
  identity: Identity,
  resource: Resource,
  action: 'pull' | 'push' | 'delete',
): Decision {
  const { token } = identity;
  if (token?.issuer === 'outside') {
    const held = heldBy(token.access, resource);
    const rule = rules.policy && denial(rules.policy, identity, resource.name, action);
    if (rule !== undefined) return no(identity, { text: 'a rule denies it', rule, held });
    if (covers(token.access, resource, action)) return yes({ text: 'the token has the scope', held });
    return insufficient({ text: 'the token does not have the scope', held });
  }
  const verdict = byRules(rules, identity, resource.name, action);
  const may = actionsByRules(rules, identity, resource.name);
  const held = token
    ? heldBy(token.access, resource)
    : may.length > 0
      ? [formatScope({ ...resource, actions: may })]
      : [];
  const reason: Reason = { ...textOf(rules, verdict, identity), held };
  if (!verdict.allowed) {
    return identity.kind === 'anonymous' && token ? insufficient(reason) : no(identity, reason);
  }
  if (token && !covers(token.access, resource, action)) {
    return insufficient({ text: 'the token does not have the scope', held });
  }
  return yes(reason);
}

function decideCatalog(rules: DecisionRules, identity: Identity, resource: Resource): Decision {
  const { token } = identity;
  if (token && !covers(token.access, resource, 'list')) {
    return insufficient({ text: 'the token does not have the scope', held: heldBy(token.access, resource) });
  }
  if (token?.issuer === 'outside') return yes({ text: 'the token has the scope' });
  return mayList(rules, identity)
    ? yes({ text: 'the list has what may be pulled' })
    : no(identity, { text: 'nothing may be pulled' });
}

function mayList({ policy }: DecisionRules, identity: Identity): boolean {
  return identity.kind !== 'anonymous' || (policy !== undefined && allowsAnything(policy, identity));
}

function decideAdmin(rules: DecisionRules, identity: Identity): Decision {
  const { token } = identity;
  const resource: Resource = { type: 'registry', name: 'admin' };
  if (token?.issuer === 'outside') {
    return covers(token.access, resource, 'admin')
      ? yes({ text: 'the token has the scope' })
      : insufficient({ text: 'the token does not have the scope', held: heldBy(token.access, resource) });
  }
  const verdict: Verdict = rules.policy
    ? administers(rules.policy, identity)
    : { allowed: identity.kind === 'user' };
  if (!verdict.allowed) {
    return no(identity, {
      text: verdict.rule === undefined ? 'no rule gives `*` on `**`' : 'a rule denies it',
      ...(verdict.rule === undefined ? {} : { rule: verdict.rule }),
    });
  }
  if (token && !covers(token.access, resource, 'admin')) {
    return insufficient({ text: 'the token does not have the scope', held: heldBy(token.access, resource) });
  }
  return yes({ text: 'an administrator', ...(verdict.rule === undefined ? {} : { rule: verdict.rule }) });
}

/** `GET /v2/` is where clients learn how to authenticate, so it is closed to who did not; any token opens it. */
function decideBase({ canAuthenticate }: DecisionRules, identity: Identity): Decision {
  if (identity.kind !== 'anonymous' || identity.token || !canAuthenticate)
    return yes({ text: 'authenticated' });
  return { allowed: false, retry: true, reason: { text: 'authentication required' } };
}

function textOf({ policy }: DecisionRules, verdict: Verdict, identity: Identity): Reason {
  if (verdict.granted) return { text: `granted to ${subjectOf(identity)}` };
  if (verdict.rule !== undefined) {
    return { text: verdict.allowed ? 'a rule allows it' : 'a rule denies it', rule: verdict.rule };
  }
  if (verdict.allowed) return { text: 'whoever is authenticated may do everything' };
  if (identity.kind === 'anonymous') return { text: 'authentication required' };
  return { text: policy ? 'no rule allows it' : `not granted to ${subjectOf(identity)}` };
}

function heldBy(access: readonly AccessEntry[], resource: Resource): string[] {
  return access.filter(({ type, name }) => type === resource.type && name === resource.name).map(formatScope);
}

function yes(reason: Reason): Decision {
  return { allowed: true, reason };
}

function insufficient(reason: Reason): Decision {
  return { allowed: false, retry: true, error: 'insufficient_scope', reason };
}

/** Whom nobody knows may try again with credentials (401); whom we know gets the same answer again (403). */
function no(identity: Identity, reason: Reason): Decision {
  return { allowed: false, retry: identity.kind === 'anonymous', reason };
}
