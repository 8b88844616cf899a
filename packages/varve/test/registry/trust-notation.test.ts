import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import {
  findTrust,
  readTrustPolicies,
  RegistryClient,
  RemoteSignatures,
} from '../../src/distribution/index.ts';
import { parseReference } from '../../src/oci/index.ts';
import { startTestRegistry } from '../../src/registry/testing/index.ts';
import { newerProgram, temporaryFolder } from './programs.ts';

const notation = newerProgram('notation');
const skip = existsSync(notation.at(-1) ?? '') ? false : 'no notation: scripts/setup --test gets it';

for (const format of ['jws', 'cose']) {
  test(`what notation signed as ${format} may be pulled, by a registry’s policy and by an engine’s`, {
    skip,
  }, async (t) => {
    const folder = temporaryFolder(t);
    // Not synchronous: the registry is in this process.
    const run = (...more: readonly string[]) => {
      const [program, ...first] = notation;
      return promisify(execFile)(program, [...first, ...more], {
        env: { ...process.env, XDG_CONFIG_HOME: folder },
      });
    };
    const signWith = (key: string, name: string, ...more: readonly string[]) =>
      run('sign', '--insecure-registry', '--key', key, '--signature-format', format, ...more, name);
    for (const key of ['trusted', 'other']) await run('cert', 'generate-test', key);
    const certificate = join(folder, 'notation/localkeys/trusted.crt');
    const trust = { policies: [{ repositories: '**', notation: { certificates: [certificate] } }] };
    const setup = await startTestRegistry(t);
    const image = await setup.pushImage('app', 'v1', 'content');
    await setup.registry.close();
    const registry = await startTestRegistry(t, { trust }, { root: setup.root });
    const name = `${new URL(registry.url).host}/app@${image.digest}`;

    const pull = () => registry.call('GET', '/v2/app/manifests/v1');
    assert.deepEqual((await pull()).codes(), ['DENIED']);
    // notation asks for the manifest that it is to sign, which the policy keeps from it.
    await assert.rejects(signWith('trusted', name), /asks for signatures|403/);
    await registry.registry.close();
    const open = await startTestRegistry(t, {}, { root: setup.root });
    const openName = name.replace(/^[^/]+/, new URL(open.url).host);
    await signWith('other', openName);

    await using client = new RegistryClient();
    const [policy] = readTrustPolicies(trust);
    assert.ok(policy);
    const { signers } = policy;
    const verdict = async (): Promise<string> => {
      const source = new RemoteSignatures(client.repository(parseReference(openName)));
      const found = await findTrust(image.digest, signers, source);
      return found.trusted ? 'trusted' : found.reasons.join();
    };
    assert.match(
      await verdict(),
      /^Notation signature sha256:\w+: its certificate leads to no trusted authority$/,
    );
    await signWith('trusted', openName, '--expiry', '1h', '--user-metadata', 'build=1');
    assert.equal(await verdict(), 'trusted');
    await open.registry.close();
    const strict = await startTestRegistry(t, { trust }, { root: setup.root });
    assert.equal((await strict.call('GET', '/v2/app/manifests/v1')).status, 200);
  });
}
