import type { Action, Resource } from './access-control.ts';

/** One entry of a token's `access` claim, and one scope. */
export interface AccessEntry {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

const maxScopes = 100;
const maxScopeLength = 1024;
const scopePattern = /^([a-z0-9]+(?:\([a-z0-9]+\))?):(.+):([a-z*]+(?:,[a-z*]+)*)$/;

/**
 * Reads one scope, `repository:team/app:pull,push`. The name may hold colons (a host's port).
 * Docker's token spec: https://distribution.github.io/distribution/spec/auth/scope/
 */
export function parseScope(text: string): AccessEntry | undefined {
  const match = text.length > maxScopeLength ? null : scopePattern.exec(text);
  if (!match) return undefined;
  const [, type = '', name = '', actions = ''] = match;
  return { type, name, actions: [...new Set(actions.split(','))] };
}

/** Reads `scope` parameters, each one or several scopes with spaces between; leaves out what is malformed. */
export function parseScopes(texts: readonly string[]): AccessEntry[] {
  const entries: AccessEntry[] = [];
  for (const text of texts) {
    for (const part of text.split(' ')) {
      if (part === '') continue;
      const entry = parseScope(part);
      if (entry && entries.length < maxScopes) entries.push(entry);
    }
  }
  return entries;
}

export function formatScope({ type, name, actions }: AccessEntry): string {
  return `${type}:${name}:${actions.join(',')}`;
}

/** The scope to ask for; undefined for `GET /v2/`, which any token opens. A push reads, too: clients ask for both. */
export function scopeFor(resource: Resource, action: Action): AccessEntry | undefined {
  if (resource.type === 'registry') {
    return resource.name === 'base' ? undefined : { ...resource, actions: ['*'] };
  }
  return { ...resource, actions: action === 'push' ? ['pull', 'push'] : [action] };
}

/** Whether a token's access holds an action; `*` holds all of them. */
export function covers(access: readonly AccessEntry[], resource: Resource, action: Action): boolean {
  return access.some(
    ({ type, name, actions }) =>
      type === resource.type && name === resource.name && (actions.includes('*') || actions.includes(action)),
  );
}

/** Reads an `access` claim; undefined when it is none. An absent one is empty. */
export function readAccessClaim(claim: unknown): AccessEntry[] | undefined {
  if (claim === undefined || claim === null) return [];
  if (!Array.isArray(claim) || claim.length > maxScopes * 10) return undefined;
  const entries: AccessEntry[] = [];
  for (const item of claim as unknown[]) {
    const { type, name, actions } = (item ?? {}) as { readonly [key: string]: unknown };
    if (typeof type !== 'string' || typeof name !== 'string' || !Array.isArray(actions)) return undefined;
    if (!(actions as unknown[]).every((action) => typeof action === 'string')) return undefined;
    entries.push({ type, name, actions: actions as string[] });
  }
  return entries;
}
