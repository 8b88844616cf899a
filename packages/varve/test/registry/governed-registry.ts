import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { digestOf } from '../../src/oci/index.ts';
import {
  type Answer,
  startTestRegistry,
  type TestRegistry,
  temporaryRoot,
} from '../../src/registry/testing/index.ts';
import { basic, writeHtpasswd } from './auth-fixtures.ts';

export const users = { alice: 'wonderland', bob: 'builder', root: 'toor' };
export const alice = basic('alice', users.alice);
export const bob = basic('bob', users.bob);
export const root = basic('root', users.root);
export const rules = [
  { name: 'public', who: ['anonymous'], repositories: ['public/**'], actions: ['pull' as const] },
  { name: 'team a', who: ['group:a'], repositories: ['a/**'], actions: ['pull' as const, 'push' as const] },
  {
    name: 'frozen',
    who: ['everyone'],
    repositories: ['a/frozen'],
    actions: ['push' as const],
    effect: 'deny' as const,
  },
  { name: 'own', who: ['authenticated'], repositories: ['people/${user}/**'], actions: ['*' as const] },
  { name: 'admins', who: ['user:root'], repositories: ['**'], actions: ['*' as const] },
];
const groups = { a: ['alice', 'bob'] };
export const content = Buffer.from('the quick brown fox');
export const digest = digestOf(content);

/** A registry with users, rules and its own token server. */
export async function governed(
  t: TestContext,
  auth: object = {},
): Promise<TestRegistry & { readonly passwords: string }> {
  const passwords = writeHtpasswd(join(temporaryRoot(t), 'htpasswd'), users);
  const registry = await startTestRegistry(t, {
    auth: { htpasswd: { path: passwords }, tokenserver: {}, rules, groups, ...auth },
  });
  return Object.assign(registry, { passwords });
}

export function upload(
  registry: TestRegistry,
  name: string,
  headers: Record<string, string> = {},
  query = '',
): Promise<Answer> {
  return registry.call('POST', `/v2/${name}/blobs/uploads/${query}`, { headers });
}

export async function pushBlob(
  registry: TestRegistry,
  name: string,
  headers: Record<string, string>,
): Promise<number> {
  const path = `/v2/${name}/blobs/uploads/?digest=${digest}`;
  return (await registry.call('POST', path, { headers, body: content })).status;
}
