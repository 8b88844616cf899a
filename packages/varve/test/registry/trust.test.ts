import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync, randomBytes, scryptSync } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import nacl from 'tweetnacl';
import { openContentStore } from '../../src/content/index.ts';
import { readTrustPolicies, RegistryClient } from '../../src/distribution/index.ts';
import { LocalImageStore } from '../../src/image/index.ts';
import { startTestRegistry } from '../../src/registry/testing/index.ts';
import { State } from '../../src/state/index.ts';
import { VfsDriver } from '../../src/storage/index.ts';
import { makeImage, newerProgram, temporaryFolder } from './programs.ts';

/** A key pair as cosign keeps it: PKCS 8 in a secretbox under scrypt (theupdateframework's encrypted package). */
function makeKeys(folder: string): {
  readonly publicKey: string;
  readonly privateKey: string;
  readonly passphrase: string;
} {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const params = { N: 32_768, r: 8, p: 1 };
  const salt = randomBytes(32);
  const nonce = randomBytes(24);
  const key = scryptSync('secret', salt, 32, { ...params, maxmem: 64 * 1024 * 1024 });
  const plain = privateKey.export({ type: 'pkcs8', format: 'der' });
  const document = {
    kdf: { name: 'scrypt', params, salt: salt.toString('base64') },
    cipher: { name: 'nacl/secretbox', nonce: nonce.toString('base64') },
    ciphertext: Buffer.from(nacl.secretbox(plain, nonce, key)).toString('base64'),
  };
  const body = Buffer.from(JSON.stringify(document)).toString('base64').replaceAll(/.{64}/g, '$&\n');
  const label = 'ENCRYPTED COSIGN PRIVATE KEY';
  const paths = {
    publicKey: join(folder, 'cosign.pub'),
    privateKey: join(folder, 'cosign.key'),
    passphrase: join(folder, 'passphrase'),
  };
  writeFileSync(paths.publicKey, publicKey.export({ type: 'spki', format: 'pem' }));
  writeFileSync(paths.privateKey, `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`);
  writeFileSync(paths.passphrase, 'secret\n');
  return paths;
}

/** A skopeo that signs: Debian 12's has that taken out, so scripts/setup --test gets the next release's. */
const signer = newerProgram('skopeo');
const skip = existsSync(signer.at(-1) ?? '') ? false : 'no skopeo that signs: scripts/setup --test gets one';

test('what skopeo signed may be pulled, by a registry’s policy and by an engine’s; the rest may not', {
  skip,
}, async (t) => {
  const folder = temporaryFolder(t);
  const keys = makeKeys(folder);
  const trust = { policies: [{ repositories: '**', cosign: { keys: [keys.publicKey] } }] };
  const image = makeImage(folder);
  // skopeo attaches signatures where its configuration of the registry says so.
  const lookaside = join(folder, 'registries.d');
  mkdirSync(lookaside);
  const strict = await startTestRegistry(t, { trust });
  const open = await startTestRegistry(t);
  const hostOf = (url: string): string => new URL(url).host;
  writeFileSync(
    join(lookaside, 'test.yaml'),
    JSON.stringify({
      docker: Object.fromEntries(
        [strict, open].map(({ url }) => [hostOf(url), { 'use-sigstore-attachments': true }]),
      ),
    }),
  );
  // Not synchronous: the registries are in this process.
  const [program, ...first] = signer;
  const skopeo = (more: readonly string[]) => promisify(execFile)(program, [...first, ...more]);
  const copy = (target: string, ...more: string[]) =>
    skopeo(['--registries.d', lookaside, 'copy', '--dest-tls-verify=false', ...more, image, target]);
  const signing = [
    '--sign-by-sigstore-private-key',
    keys.privateKey,
    '--sign-passphrase-file',
    keys.passphrase,
  ];
  for (const { url } of [strict, open]) {
    await copy(`docker://${hostOf(url)}/app:unsigned`, '--format', 'v2s2');
    await copy(`docker://${hostOf(url)}/app:signed`, ...signing);
  }

  const inspect = (tag: string) =>
    skopeo(['inspect', '--tls-verify=false', `docker://${hostOf(strict.url)}/app:${tag}`]);
  await assert.rejects(inspect('unsigned'), /app asks for signatures, and none of sha256:[0-9a-f]+ counts/);
  await inspect('signed');

  const root = join(folder, 'engine');
  using state = new State(join(root, 'state.db'));
  const content = openContentStore({ root, state, grace: 0 });
  const driver = new VfsDriver(join(root, 'snapshots'));
  await using client = new RegistryClient();
  const images = new LocalImageStore({ state, content, driver, client, trust: readTrustPolicies(trust) });
  const name = `${hostOf(open.url)}/app`;
  await assert.rejects(images.pull(`${name}:unsigned`, {}), {
    code: 'IMAGE_UNTRUSTED',
    message: /asks for a signature of 127\.0\.0\.1:\d+\/app, and none counts: there is none/,
  });
  assert.deepEqual(images.list(), []);
  const pulled = await images.pull(`${name}:signed`, {});
  assert.deepEqual(pulled.tags, [`${name}:signed`]);
  await driver.close();
});
