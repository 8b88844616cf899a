import { type Descriptor, type Digest, digestOf, isDigest } from '../../oci/index.ts';
import { checkCosign, cosignArtifactType, cosignTag, simpleSigningType } from './cosign.ts';
import { checkNotation, notationArtifactType } from './notation.ts';
import type { SignatureSource, TrustedSigners, TrustVerdict } from './types.ts';

/** Signatures are some KiB; who adds more than so many wants the check to take long. */
const maxBlobBytes = 1024 * 1024;
const maxSignatures = 64;

interface Manifest {
  readonly config?: { readonly mediaType?: string };
  readonly artifactType?: string;
  readonly subject?: { readonly digest?: string };
  readonly layers?: readonly Descriptor[];
}

/**
 * Looks for a signature of a manifest that counts: cosign's under its tag and among the referrers, Notation's among the
 * referrers. The first that holds is enough.
 */
export async function findTrust(
  subject: Digest,
  signers: TrustedSigners,
  source: SignatureSource,
): Promise<TrustVerdict> {
  const reasons: string[] = [];
  const referrers = (await source.referrers(subject)).slice(0, maxSignatures);
  if (signers.notation.length > 0) {
    for (const { digest } of referrers.filter((item) => item.artifactType === notationArtifactType)) {
      const reason = await notationReason(subject, digest, signers, source);
      if (reason === undefined) return { trusted: true, by: `Notation signature ${digest}` };
      reasons.push(`Notation signature ${digest}: ${reason}`);
    }
  }
  if (signers.cosign.length > 0) {
    const attached = referrers.filter(
      (item) => item.artifactType === cosignArtifactType || item.artifactType === simpleSigningType,
    );
    for (const name of [cosignTag(subject), ...attached.map(({ digest }) => digest)]) {
      const manifest = await readManifest(source, name);
      for (const layer of (manifest?.layers ?? []).slice(0, maxSignatures)) {
        if (layer.mediaType !== simpleSigningType) continue;
        const payload = await readBlob(source, layer);
        const reason = payload
          ? checkCosign(layer, payload, subject, signers.cosign)
          : 'its payload is missing';
        if (reason === undefined) return { trusted: true, by: `cosign signature ${layer.digest}` };
        reasons.push(`cosign signature ${layer.digest}: ${reason}`);
      }
    }
  }
  return { trusted: false, reasons: reasons.slice(0, maxSignatures) };
}

async function notationReason(
  subject: Digest,
  digest: Digest,
  signers: TrustedSigners,
  source: SignatureSource,
): Promise<string | undefined> {
  const manifest = await readManifest(source, digest);
  if (manifest?.subject?.digest !== subject) return 'it names another subject';
  const [envelope] = manifest.layers ?? [];
  const bytes = envelope && (await readBlob(source, envelope));
  return bytes
    ? await checkNotation(envelope.mediaType, bytes, subject, signers.notation)
    : 'its envelope is missing';
}

async function readManifest(source: SignatureSource, name: string): Promise<Manifest | undefined> {
  const bytes = await source.manifest(name);
  if (!bytes) return undefined;
  try {
    return (JSON.parse(Buffer.from(bytes).toString()) ?? undefined) as Manifest | undefined;
  } catch {
    return undefined;
  }
}

/** A blob whose bytes are what its descriptor says. */
async function readBlob(source: SignatureSource, descriptor: Descriptor): Promise<Uint8Array | undefined> {
  if (!isDigest(descriptor.digest) || !(descriptor.size <= maxBlobBytes)) return undefined;
  const bytes = await source.blob(descriptor, maxBlobBytes);
  if (!bytes || bytes.length !== descriptor.size) return undefined;
  const algorithm = descriptor.digest.startsWith('sha512:') ? 'sha512' : 'sha256';
  return digestOf(bytes, algorithm) === descriptor.digest ? bytes : undefined;
}
