import { readChain } from './certificates.ts';
import { attributes, type NotationEnvelope } from './notation-envelope.ts';

type Json = Readonly<Record<string, unknown>>;

/**
 * Opens a Notation signature's JWS envelope (notaryproject.dev, signature-envelope-jws.md).
 * @returns why it cannot be opened, as a sentence without full stop
 */
export function openJws(bytes: Uint8Array): NotationEnvelope | string {
  const jws = parse(Buffer.from(bytes).toString());
  const { payload, protected: head, signature, header } = jws ?? {};
  if (typeof payload !== 'string' || typeof head !== 'string' || typeof signature !== 'string') {
    return 'its envelope is no JWS';
  }
  const fields = parse(decode(head).toString());
  if (!fields) return 'its envelope is no JWS';
  const x5c = (header as Json | undefined)?.['x5c'];
  const chain = Array.isArray(x5c)
    ? readChain(x5c.map((item) => Buffer.from(String(item), 'base64')))
    : undefined;
  if (!chain) return 'it carries no certificates';
  return {
    algorithm: fields['alg'],
    critical: fields['crit'],
    contentType: fields['cty'],
    signingScheme: fields[attributes.signingScheme],
    signingTime: readTime(fields[attributes.signingTime]),
    expiry: readTime(fields[attributes.expiry]),
    chain,
    signed: Buffer.from(`${head}.${payload}`),
    signature: decode(signature),
    payload: decode(payload),
  };
}

/** RFC 3339 text. */
function readTime(value: unknown): Date | undefined {
  return value === undefined ? undefined : new Date(typeof value === 'string' ? value : Number.NaN);
}

function decode(text: string): Buffer {
  return Buffer.from(text, 'base64url');
}

function parse(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
  } catch {
    return undefined;
  }
}
