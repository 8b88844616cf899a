import { VarveError } from '../../base/index.ts';

const timeoutMs = 5000;
const maxBytes = 1024 * 1024;

/** True for an address whose answers nobody between can change: https, or this machine. */
export function isTrustworthy(url: URL): boolean {
  if (url.username !== '' || url.password !== '') return false;
  const loopback = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(url.hostname);
  return url.protocol === 'https:' || (url.protocol === 'http:' && loopback);
}

/**
 * Reads a JSON document from exactly this URL: no redirect is followed, five seconds, one MiB.
 * @throws VarveError `unavailable` (`FETCH_FAILED`)
 */
export async function fetchJson(url: URL): Promise<unknown> {
  const failed = (why: string, cause?: unknown): VarveError =>
    new VarveError('unavailable', 'FETCH_FAILED', `cannot read ${url.origin}${url.pathname}: ${why}`, {
      subject: url.host,
      ...(cause === undefined ? {} : { cause }),
    });
  if (!isTrustworthy(url)) throw failed('neither https nor this machine');
  try {
    const answer = await fetch(url, {
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
      headers: { accept: 'application/json' },
    });
    if (answer.status !== 200) throw failed(`status ${answer.status}`);
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of answer.body ?? []) {
      size += chunk.length;
      if (size > maxBytes) throw failed('larger than 1 MiB');
      chunks.push(chunk);
    }
    return JSON.parse(Buffer.concat(chunks).toString()) as unknown;
  } catch (error) {
    if (VarveError.is(error)) throw error;
    const { message, cause } = error as Error & { readonly cause?: { readonly code?: string } };
    throw failed(cause?.code ?? message, error);
  }
}
