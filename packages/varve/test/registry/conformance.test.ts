import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { type Registry, type RegistryConfigInput, startRegistry } from '../../src/registry/index.ts';
import { apis } from './conformance/apis.ts';
import { type Kind, kinds } from './conformance/data.ts';
import { Target } from './conformance/target.ts';
import { startPostgres } from './postgres-server.ts';

/** The matrix of the distribution spec: every kind of data with everything that can be done with it. */
function testConformance(
  tried: readonly Kind[],
  configure: (resources: AsyncDisposableStack) => Promise<RegistryConfigInput>,
): void {
  const resources = new AsyncDisposableStack();
  let registry: Registry;
  before(async () => {
    const folder = mkdtempSync('/var/tmp/varve-conformance-');
    resources.defer(() => rmSync(folder, { recursive: true, force: true }));
    const config = await configure(resources);
    registry = await startRegistry({
      ...config,
      http: { addr: '127.0.0.1:0' },
      storage: { filesystem: { rootdirectory: folder }, delete: { enabled: true } },
    });
    resources.use(registry);
  });
  after(() => resources.disposeAsync());

  test('is there', async () => {
    await new Target(registry.url, 'a', 'b').ask('GET', '/v2/', 200);
  });

  for (const [number, kind] of tried.entries()) {
    describe(kind.name, () => {
      const full = `conformance/kind-${number}`;
      before(() => new Target(registry.url, full, full).push(full, kind));
      for (const [place, api] of apis.entries()) {
        if (!api.applies(kind)) continue;
        test(api.name, () => api.check(new Target(registry.url, full, `${full}/api-${place}`), kind));
      }
    });
  }
}

test('the matrix is of 28 APIs and 24 kinds of data, each of which is tried with most of the others', () => {
  assert.deepEqual([apis.length, kinds.length], [28, 24]);
  for (const api of apis) assert.ok(kinds.filter(api.applies).length >= 18, api.name);
});

describe('conformance with records in SQLite', () => {
  testConformance(kinds, async () => ({}));
});

describe('conformance with records in PostgreSQL', () => {
  // What differs is below the records' interface: every third kind will do, but where there is time for all.
  const tried = process.env['VARVE_TEST_ALL'] ? kinds : kinds.filter((_, number) => number % 3 === 1);
  testConformance(tried, async (resources) => {
    const server = resources.use(await startPostgres());
    return { metadata: { postgres: { url: server.database('conformance') } } };
  });
});
