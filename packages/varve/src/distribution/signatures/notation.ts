import type { X509Certificate } from 'node:crypto';
import type { Digest } from '../../oci/index.ts';
import { openCose } from './notation-cose.ts';
import { checkEnvelope } from './notation-envelope.ts';
import { openJws } from './notation-jws.ts';
import { quote } from './quote.ts';

export const notationArtifactType = 'application/vnd.cncf.notary.signature';
const jwsType = 'application/jose+json';
const coseType = 'application/cose';

/**
 * Checks a Notation signature in an envelope of either form.
 * @returns undefined when it holds, else why not as a sentence without full stop
 */
export async function checkNotation(
  mediaType: string | undefined,
  bytes: Uint8Array,
  subject: Digest,
  authorities: readonly X509Certificate[],
  now = new Date(),
): Promise<string | undefined> {
  if (mediaType !== jwsType && mediaType !== coseType) {
    return `envelopes of type ${quote(mediaType)} are not known`;
  }
  const envelope = mediaType === jwsType ? openJws(bytes) : await openCose(bytes);
  return typeof envelope === 'string' ? envelope : checkEnvelope(envelope, subject, authorities, now);
}
