import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CompactSign } from 'jose';
import { type Descriptor, type Digest, digestOf } from '../../oci/index.ts';
import { cosignTag, findTrust, type SignatureSource, simpleSigningType } from './index.ts';

const subject = digestOf('the image');
const folder = mkdtempSync(join(tmpdir(), 'varve-signatures-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Signatures in memory, as a registry would have them. */
class MadeSource implements SignatureSource {
  readonly #manifests = new Map<string, Uint8Array>();
  readonly #blobs = new Map<Digest, Uint8Array>();
  readonly #referrers: Descriptor[] = [];

  blobOf(bytes: Uint8Array, mediaType: string, annotations: Record<string, string> = {}): Descriptor {
    const digest = digestOf(bytes);
    this.#blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length, annotations };
  }

  add(manifest: object, where: { readonly tag: string } | { readonly artifactType: string }): Digest {
    const bytes = Buffer.from(JSON.stringify(manifest));
    const digest = digestOf(bytes);
    this.#manifests.set(digest, bytes);
    if ('tag' in where) this.#manifests.set(where.tag, bytes);
    else this.#referrers.push({ mediaType: 'x/y', digest, size: bytes.length, ...where });
    return digest;
  }

  damage(digest: Digest, bytes: Uint8Array): void {
    this.#blobs.set(digest, bytes);
  }

  referrers(): Promise<readonly Descriptor[]> {
    return Promise.resolve(this.#referrers);
  }

  manifest(name: string): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#manifests.get(name));
  }

  blob({ digest }: Descriptor): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#blobs.get(digest));
  }
}

const none = { cosign: [], notation: [], schema1: [] };

function cosignSource(key: KeyObject, of: Digest = subject): MadeSource {
  const source = new MadeSource();
  const payload = Buffer.from(
    JSON.stringify({
      critical: { identity: {}, image: { 'docker-manifest-digest': of }, type: 'x' },
      optional: {},
    }),
  );
  const hash = key.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  const layer = source.blobOf(payload, simpleSigningType, {
    'dev.cosignproject.cosign/signature': sign(hash, payload, key).toString('base64'),
  });
  source.add({ schemaVersion: 2, layers: [layer] }, { tag: cosignTag(subject) });
  return source;
}

for (const [name, pair] of Object.entries({
  ecdsa: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ed25519: generateKeyPairSync('ed25519'),
})) {
  test(`takes a cosign signature of a trusted ${name} key, and no other`, async () => {
    const { publicKey, privateKey } = pair;
    const source = cosignSource(privateKey);
    assert.equal((await findTrust(subject, { ...none, cosign: [publicKey] }, source)).trusted, true);
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
    const verdict = await findTrust(subject, { ...none, cosign: [other] }, source);
    assert.match(String(verdict.trusted || verdict.reasons), /none of the trusted keys made it/);
    assert.deepEqual(await findTrust(digestOf('another image'), { ...none, cosign: [publicKey] }, source), {
      trusted: false,
      reasons: [],
    });
  });
}

test('refuses a good signature of another image, and a payload that was changed', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signers = { ...none, cosign: [publicKey] };
  const moved = await findTrust(subject, signers, cosignSource(privateKey, digestOf('other')));
  assert.match(String(moved.trusted || moved.reasons), /it is a signature of sha256:/);
  const source = cosignSource(privateKey);
  const manifest = JSON.parse(Buffer.from((await source.manifest(cosignTag(subject))) ?? []).toString()) as {
    readonly layers: readonly [Descriptor];
  };
  source.damage(manifest.layers[0].digest, Buffer.from('{}'));
  assert.equal((await findTrust(subject, signers, source)).trusted, false);
});

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
}

function pem(name: string): string {
  return readFileSync(join(folder, name), 'utf8');
}

function makeChain(): void {
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  for (const ca of ['ca', 'otherca']) {
    openssl(
      'req',
      '-x509',
      ...ec,
      '-keyout',
      `${ca}.key`,
      '-out',
      `${ca}.pem`,
      '-subj',
      `/CN=${ca}`,
      '-days',
      '2',
    );
  }
  writeFileSync(
    join(folder, 'signer.ext'),
    'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=codeSigning\n',
  );
  writeFileSync(join(folder, 'server.ext'), 'basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n');
  for (const name of ['signer', 'server']) {
    openssl('req', ...ec, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      'ca.pem',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-days',
      '2',
      '-extfile',
      `${name}.ext`,
      '-out',
      `${name}.pem`,
    );
  }
}

async function notationSource(
  more: { readonly head?: object; readonly digest?: string; readonly signer?: string } = {},
): Promise<MadeSource> {
  const { head = {}, digest = subject, signer = 'signer' } = more;
  const compact = await new CompactSign(
    Buffer.from(JSON.stringify({ targetArtifact: { digest, size: 9, mediaType: 'x/y' } })),
  )
    .setProtectedHeader({
      alg: 'ES256',
      cty: 'application/vnd.cncf.notary.payload.v1+json',
      crit: ['io.cncf.notary.signingScheme'],
      'io.cncf.notary.signingScheme': 'notary.x509',
      'io.cncf.notary.signingTime': new Date().toISOString(),
      ...head,
    })
    .sign(createPrivateKey(pem(`${signer}.key`)), {
      crit: { 'io.cncf.notary.signingScheme': true, 'io.cncf.notary.expiry': true, 'x.unknown': true },
    });
  const [protectedHead, payload, signature] = compact.split('.');
  const x5c = [`${signer}.pem`, 'ca.pem'].map((name) =>
    new X509Certificate(pem(name)).raw.toString('base64'),
  );
  const envelope = { payload, protected: protectedHead, signature, header: { x5c } };
  const source = new MadeSource();
  const layer = source.blobOf(Buffer.from(JSON.stringify(envelope)), 'application/jose+json');
  source.add(
    { schemaVersion: 2, subject: { digest: subject }, layers: [layer] },
    { artifactType: 'application/vnd.cncf.notary.signature' },
  );
  return source;
}

test('takes a Notation signature that leads to a trusted authority, and says why it takes no other', async () => {
  makeChain();
  const trusting = (ca: string) => ({ ...none, notation: [new X509Certificate(pem(ca))] });
  const reason = async (source: MadeSource, ca = 'ca.pem'): Promise<string> => {
    const verdict = await findTrust(subject, trusting(ca), source);
    return verdict.trusted ? 'trusted' : verdict.reasons.join();
  };
  assert.equal(await reason(await notationSource()), 'trusted');
  const expiry = 'io.cncf.notary.expiry';
  const crit = ['io.cncf.notary.signingScheme'];
  const later = { crit: [...crit, expiry], [expiry]: new Date(Date.now() + 60_000).toISOString() };
  assert.equal(await reason(await notationSource({ head: later })), 'trusted');
  assert.match(await reason(await notationSource(), 'otherca.pem'), /leads to no trusted authority/);
  assert.match(await reason(await notationSource({ digest: digestOf('x') })), /it is a signature of/);
  assert.match(await reason(await notationSource({ signer: 'server' })), /not for signing code/);
  const past = { crit: [...crit, expiry], [expiry]: new Date(Date.now() - 1000).toISOString() };
  assert.match(await reason(await notationSource({ head: past })), /it has expired/);
  const odd = { crit: [...crit, 'x.unknown'], 'x.unknown': 1 };
  assert.match(await reason(await notationSource({ head: odd })), /critical fields that are not understood/);
  assert.match(await reason(await notationSource({ head: { cty: 'text/plain' } })), /signing scheme/);
});
