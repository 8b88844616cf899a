import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MetadataStore } from '../metadata/index.ts';
import { browse } from './browse.ts';
import { search } from './search.ts';
import type { Viewer } from './types.ts';

/** Names as a database pages through them, with a count of the names it gave. */
class Names {
  readonly #names: readonly string[];
  given = 0;

  constructor(names: readonly string[]) {
    this.#names = names.toSorted();
  }

  readonly source: Pick<MetadataStore, 'repositories' | 'tags'> = {
    repositories: ({ after = '', limit }) => {
      const found = this.#names.filter((name) => name > after).slice(0, limit);
      this.given += found.length;
      return found;
    },
    tags: () => [],
  };
}

const everything: Pick<Viewer, 'sees' | 'prefixes'> = { sees: () => true, prefixes: () => [''] };

async function all(names: Names, namespace: string, viewer = everything, limit = 2): Promise<string[]> {
  const found: string[] = [];
  for (let after: string | undefined; ; ) {
    const { entries, next } = await browse(names.source, viewer, { namespace, after, limit });
    found.push(...entries.map(({ kind, name }) => (kind === 'namespace' ? `${name}/` : name)));
    if (next === undefined) return found;
    after = next;
  }
}

test('lists what is directly in a namespace, page by page, each once', async () => {
  const names = new Names(['a', 'a-b', 'a/b', 'a/b/c', 'a/d', 'b/x', 'b/y', 'c']);
  assert.deepEqual(await all(names, ''), ['a', 'a-b', 'a/', 'b/', 'c']);
  assert.deepEqual(await all(names, 'a'), ['a/b', 'a/b/', 'a/d']);
  assert.deepEqual(await all(names, 'a/b'), ['a/b/c']);
});

test('steps over a namespace, however many repositories it has', async () => {
  const names = new Names([...Array.from({ length: 20_000 }, (_, index) => `big/r${index}`), 'end']);
  assert.deepEqual(await all(names, '', everything, 10), ['big/', 'end']);
  assert.ok(names.given < 1000, `${names.given} names were read`);
});

test('shows nothing that may not be seen, and looks only where something can be', async () => {
  const hidden = Array.from({ length: 20_000 }, (_, index) => `hidden/r${index}`);
  const names = new Names([...hidden, 'team/a', 'team/b/c', 'team/secret', 'x/y', 'x/z']);
  const viewer = {
    sees: (name: string) => (name.startsWith('team/') && name !== 'team/secret') || name === 'x/y',
    prefixes: () => ['team/', 'x/y'],
  };
  assert.deepEqual(await all(names, '', viewer), ['team/', 'x/']);
  assert.deepEqual(await all(names, 'team', viewer), ['team/a', 'team/b/']);
  assert.deepEqual(await all(names, 'x', viewer), ['x/y']);
  assert.deepEqual(await all(names, 'hidden', viewer), []);
  assert.ok(names.given < 100, `${names.given} names were read`);
});

test('a page ends after so many hidden names, and the next goes on', async () => {
  const names = new Names([...Array.from({ length: 12_000 }, (_, index) => `r${10_000 + index}`), 'z']);
  const viewer = { sees: (name: string) => name.startsWith('z'), prefixes: () => [''] };
  const first = await browse(names.source, viewer, { namespace: '', after: undefined, limit: 10 });
  assert.deepEqual(first.entries, []);
  assert.ok(names.given < 6000);
  assert.deepEqual(await all(names, '', viewer), ['z']);
});

test('a search looks at a bounded number of names and says where to go on', async () => {
  const names = new Names([
    ...Array.from({ length: 25_000 }, (_, index) => `r${10_000 + index}`),
    'z/needle',
  ]);
  const first = await search(names.source, everything, 'Needle', undefined);
  assert.deepEqual(first.hits, []);
  assert.equal(first.looked.repositories, 20_000);
  const second = await search(names.source, everything, 'Needle', first.next);
  assert.deepEqual(second, {
    hits: [{ repository: 'z/needle' }],
    looked: { repositories: 5001, tags: 0 },
    next: undefined,
  });
});
