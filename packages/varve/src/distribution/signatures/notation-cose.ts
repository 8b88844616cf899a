import type * as Cbor from 'cborg';
import { readChain } from './certificates.ts';
import { attributes, type NotationEnvelope } from './notation-envelope.ts';

/** An envelope has about 40; so neither many items nor deep ones can take long or fill the stack. */
const maxItems = 1024;
/** Tag of a COSE_Sign1 object, which the specification asks for. RFC 9052 section 4.2 */
const coseSign1 = 18;
/** Tag of seconds since 1970. RFC 8949 section 3.4.2 */
const epochTime = 1;
const signatureContext = 'Signature1';

/** Labels of header parameters. RFC 9052 section 3.1, RFC 9360 section 2 */
const labels = { algorithm: 1, critical: 2, contentType: 3, x5chain: 33 } as const;
/** RFC 9053 sections 2.1 and RFC 8230 section 2 */
const algorithmNames: ReadonlyMap<unknown, string> = new Map([
  [-7, 'ES256'],
  [-35, 'ES384'],
  [-36, 'ES512'],
  [-37, 'PS256'],
  [-38, 'PS384'],
  [-39, 'PS512'],
]);

type Header = ReadonlyMap<unknown, unknown>;

/**
 * Opens a Notation signature's COSE envelope (notaryproject.dev, signature-envelope-cose.md). Its decoder is loaded when the
 * first comes. Refused are items of indefinite length, repeated keys, and tags of anything else.
 * @returns why it cannot be opened, as a sentence without full stop
 */
export async function openCose(bytes: Uint8Array): Promise<NotationEnvelope | string> {
  const cbor = await import('cborg');
  try {
    return open(cbor, bytes) ?? 'its envelope is no COSE_Sign1';
  } catch {
    return 'its envelope is no COSE_Sign1';
  }
}

/** undefined, or an error of the decoder, when it is none. */
function open(cbor: typeof Cbor, bytes: Uint8Array): NotationEnvelope | string | undefined {
  const parts = untag(cbor, decode(cbor, bytes), coseSign1);
  if (!Array.isArray(parts) || parts.length !== 4) return undefined;
  const [head, unprotectedHeader, payload, signature] = parts as readonly unknown[];
  if (!isBytes(head) || !isBytes(payload) || !isBytes(signature) || !isHeader(unprotectedHeader))
    return undefined;
  const header = decode(cbor, head);
  if (!isHeader(header) || [...header.keys()].some((key) => unprotectedHeader.has(key))) return undefined;
  const x5chain = header.get(labels.x5chain) ?? unprotectedHeader.get(labels.x5chain);
  // One certificate, or a list of them.
  const encoded = isBytes(x5chain) ? [x5chain] : x5chain;
  const chain = Array.isArray(encoded) && encoded.every(isBytes) ? readChain(encoded) : undefined;
  if (!chain) return 'it carries no certificates';
  const algorithm = header.get(labels.algorithm);
  return {
    algorithm: algorithmNames.get(algorithm) ?? algorithm,
    critical: header.get(labels.critical),
    contentType: header.get(labels.contentType),
    signingScheme: header.get(attributes.signingScheme),
    signingTime: readTime(cbor, header.get(attributes.signingTime)),
    expiry: readTime(cbor, header.get(attributes.expiry)),
    chain,
    // RFC 9052 section 4.4, with no external data.
    signed: cbor.encode([signatureContext, head, new Uint8Array(), payload]),
    signature,
    payload,
  };
}

function decode(cbor: typeof Cbor, bytes: Uint8Array): unknown {
  const options: Cbor.DecodeOptions = {
    allowIndefinite: false,
    allowUndefined: false,
    allowInfinity: false,
    allowNaN: false,
    rejectDuplicateMapKeys: true,
    useMaps: true,
    tags: cbor.Tagged.preserve(coseSign1, epochTime),
  };
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  const tokens = new cbor.Tokenizer(plain, options);
  let items = 0;
  const tokenizer = {
    done: () => tokens.done(),
    pos: () => tokens.pos(),
    next: () => {
      if (++items > maxItems) throw new RangeError('too many items');
      return tokens.next();
    },
  };
  return cbor.decode(plain, { ...options, tokenizer });
}

/** undefined for what has not this tag. */
function untag(cbor: typeof Cbor, value: unknown, tag: number): unknown {
  return value instanceof cbor.Tagged && value.tag === tag ? (value.value as unknown) : undefined;
}

/** An invalid date for what is none. */
function readTime(cbor: typeof Cbor, value: unknown): Date | undefined {
  if (value === undefined) return undefined;
  const seconds = untag(cbor, value, epochTime);
  return new Date(typeof seconds === 'number' ? seconds * 1000 : Number.NaN);
}

function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array;
}

/** Labels are numbers and text. */
function isHeader(value: unknown): value is Header {
  return (
    value instanceof Map &&
    [...value.keys()].every((key) => Number.isSafeInteger(key) || typeof key === 'string')
  );
}
