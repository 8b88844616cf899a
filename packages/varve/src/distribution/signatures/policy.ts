import { z } from 'zod';
import { glob, VarveError } from '../../base/index.ts';
import type { Digest } from '../../oci/index.ts';
import { readCertificates, readPublicKeys } from './certificates.ts';
import { findTrust } from './find-trust.ts';
import type { SignatureSource, TrustedSigners } from './types.ts';

const files = z.array(z.string().min(1)).default([]);

/** The block `trust`, of a registry's configuration and of an engine's `--trust-policy` file. */
export const trustBlock = z
  .strictObject({
    policies: z
      .array(
        z.strictObject({
          repositories: z
            .string()
            .min(1)
            .describe('Glob; of a registry its repositories, of an engine names with their host.'),
          on: z
            .array(z.enum(['push', 'pull']))
            .min(1)
            .default(['pull'])
            .describe('On push a tag points only at what is signed: push by digest, sign, then tag.'),
          cosign: z.strictObject({ keys: files.describe('PEM files of public keys.') }).prefault({}),
          notation: z
            .strictObject({ certificates: files.describe('PEM files of authorities.') })
            .prefault({}),
          schema1: z
            .strictObject({ keys: files.describe('PEM files of the keys that sign manifests of schema 1.') })
            .prefault({}),
        }),
      )
      .default([])
      .describe('The first that matches a repository counts. One without signers refuses everything.'),
  })
  .prefault({});

/** A policy with its keys read. */
export interface TrustPolicy {
  readonly repositories: string;
  readonly on: readonly ('push' | 'pull')[];
  readonly signers: TrustedSigners;
}

/** Reads the keys of the block `trust`. @throws VarveError `invalid` (`TRUST_KEY_INVALID`, `TRUST_POLICY_INVALID`) */
export function readTrustPolicies(block: unknown): TrustPolicy[] {
  const result = trustBlock.safeParse(block);
  if (!result.success) {
    const text = result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('\n');
    throw new VarveError('invalid', 'TRUST_POLICY_INVALID', text);
  }
  return result.data.policies.map(({ repositories, on, cosign, notation, schema1 }) => ({
    repositories,
    on,
    signers: {
      cosign: readPublicKeys(cosign.keys),
      notation: readCertificates(notation.certificates),
      schema1: readPublicKeys(schema1.keys),
    },
  }));
}

/**
 * Lets an image be pulled when the policy for its name finds a signature that counts, of the index or of the manifest that
 * was chosen from it.
 * @param name with its host: `docker.io/library/debian`
 * @throws VarveError `forbidden` (`IMAGE_UNTRUSTED`) with why no signature counts
 */
export async function requireTrust(
  policies: readonly TrustPolicy[],
  name: string,
  digests: readonly Digest[],
  source: SignatureSource,
): Promise<void> {
  const policy = policies.find((item) => glob(item.repositories).matches(name));
  if (!policy?.on.includes('pull')) return;
  const reasons: string[] = [];
  for (const digest of new Set(digests)) {
    const verdict = await findTrust(digest, policy.signers, source);
    if (verdict.trusted) return;
    reasons.push(...verdict.reasons);
  }
  throw new VarveError(
    'forbidden',
    'IMAGE_UNTRUSTED',
    `the policy for ${policy.repositories} asks for a signature of ${name}, and none counts: ${reasons.join('; ') || 'there is none'}`,
    { subject: name, hint: 'sign it, or change the policy in the block trust of daemon.json' },
  );
}
