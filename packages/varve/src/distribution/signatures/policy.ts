import { z } from 'zod';
import { VarveError } from '../../base/index.ts';
import { readCertificates, readPublicKeys } from './certificates.ts';
import type { TrustedSigners } from './types.ts';

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
