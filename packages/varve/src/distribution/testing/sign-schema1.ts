import { type KeyObject, sign } from 'node:crypto';

/** A pair of keys; EC on P-256 or RSA. */
export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/**
 * A Docker manifest of schema 1 as libtrust signs it: what is signed is the document as indented JSON, up to its closing
 * brace and with that put back.
 */
export function signSchema1(
  document: object,
  ...keys: readonly KeyPair[]
): { envelope: Buffer; payload: Buffer } {
  const text = JSON.stringify(document, undefined, 3);
  const payload = Buffer.from(text);
  const formatTail = Buffer.from('\n}').toString('base64url');
  const head = base64url({ formatLength: payload.length - 2, formatTail, time: '2015-01-01T00:00:00Z' });
  const data = Buffer.from(`${head}.${payload.toString('base64url')}`);
  const signatures = keys.map(({ publicKey, privateKey: key }) => ({
    header: {
      jwk: publicKey.export({ format: 'jwk' }),
      alg: publicKey.asymmetricKeyType === 'rsa' ? 'RS256' : 'ES256',
    },
    signature: sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' }).toString('base64url'),
    protected: head,
  }));
  const envelope = Buffer.from(`${text.slice(0, -2)},\n   "signatures": ${JSON.stringify(signatures)}\n}`);
  return { envelope, payload };
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
