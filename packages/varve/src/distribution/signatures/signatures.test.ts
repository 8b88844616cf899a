import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { test } from 'node:test';
import { type Descriptor, type Digest, digestOf } from '../../oci/index.ts';
import { cosignTag, findTrust, type SignatureSource, simpleSigningType } from './index.ts';

const subject = digestOf('the image');

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
