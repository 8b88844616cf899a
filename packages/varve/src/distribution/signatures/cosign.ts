import { type KeyObject, verify } from 'node:crypto';
import type { Descriptor, Digest } from '../../oci/index.ts';

/** Media type of the layers of a cosign signature. */
export const simpleSigningType = 'application/vnd.dev.cosign.simplesigning.v1+json';
export const cosignArtifactType = 'application/vnd.dev.cosign.artifact.sig.v1+json';
const signatureAnnotation = 'dev.cosignproject.cosign/signature';

/** The tag under which cosign keeps the signatures of a manifest. */
export function cosignTag(subject: Digest): string {
  return `${subject.replace(':', '-')}.sig`;
}

/**
 * Checks one signature: that a key made it, and that what was signed is this manifest. Payload: containers/image's "simple
 * signing" (docs/containers-signature.5.md); the signature is over its bytes, base64 in an annotation of the layer.
 * @returns undefined when it holds, else why not as a sentence without full stop
 */
export function checkCosign(
  layer: Descriptor,
  payload: Uint8Array,
  subject: Digest,
  keys: readonly KeyObject[],
): string | undefined {
  const text = layer.annotations?.[signatureAnnotation];
  if (text === undefined) return 'the layer carries no signature';
  const signature = Buffer.from(text, 'base64');
  // Before anything in the payload is believed.
  if (!keys.some((key) => holds(key, payload, signature))) return 'none of the trusted keys made it';
  const signed = signedDigest(payload);
  return signed === subject ? undefined : `it is a signature of ${signed ?? 'something else'}`;
}

function holds(key: KeyObject, data: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verify(key.asymmetricKeyType === 'ed25519' ? null : 'sha256', data, key, signature);
  } catch {
    return false;
  }
}

function signedDigest(payload: Uint8Array): string | undefined {
  try {
    const document = JSON.parse(Buffer.from(payload).toString()) as {
      readonly critical?: { readonly image?: Readonly<Record<string, unknown>> };
    } | null;
    const digest = document?.critical?.image?.['docker-manifest-digest'];
    return typeof digest === 'string' ? digest : undefined;
  } catch {
    return undefined;
  }
}
