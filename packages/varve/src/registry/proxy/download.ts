import { isKind, VarveError } from '../../base/index.ts';
import type { RemoteRepository } from '../../distribution/index.ts';
import type { Descriptor } from '../../oci/index.ts';

/** A cut connection is taken up again so many times without a byte between. */
const maxFruitlessTries = 4;

/**
 * The bytes of a blob, taken up where a connection was cut.
 * @throws VarveError `data-loss` when there are more than its descriptor says
 */
export async function* download(
  remote: RemoteRepository,
  blob: Descriptor,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  let done = 0;
  for (let tries = 0; done < blob.size || tries === 0; ) {
    const before = done;
    try {
      const range = done === 0 ? {} : { range: { start: done } };
      const { offset, body } = await remote.getBlob(blob, { ...range, signal });
      // A registry without ranges begins again.
      let skip = done - offset;
      for await (const chunk of body) {
        const fresh = skip >= chunk.length ? undefined : chunk.subarray(skip);
        skip = Math.max(0, skip - chunk.length);
        if (!fresh) continue;
        done += fresh.length;
        if (done > blob.size) throw tooMuch(remote, blob);
        yield fresh;
      }
      if (done >= blob.size) return;
      throw new VarveError('unavailable', 'BLOB_CUT', `${remote.host} sent ${done} bytes of ${blob.size}`);
    } catch (error) {
      tries = done > before ? 1 : tries + 1;
      if (!isKind(error, 'unavailable') || tries >= maxFruitlessTries) throw error;
    }
  }
}

/** Whether a repository gives a blob, for the price of its first byte. @throws VarveError where it does not */
export async function isServed(remote: RemoteRepository, blob: Descriptor): Promise<boolean> {
  const { body } = await remote.getBlob(blob, blob.size > 0 ? { range: { start: 0, end: 1 } } : {});
  // Leaving the loop ends the answer, also where the range was not heeded.
  for await (const _ of body) break;
  return true;
}

function tooMuch({ host }: RemoteRepository, { digest, size }: Descriptor): VarveError {
  const message = `${host} sent more than the ${size} bytes of ${digest}`;
  return new VarveError('data-loss', 'SIZE_MISMATCH', message, { subject: digest });
}
