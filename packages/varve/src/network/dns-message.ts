/**
 * The few parts of DNS (RFC 1035) that a resolver of container names needs: one question in, address or pointer
 * records out. Everything else is passed on as bytes, unread.
 */

export const recordType = { a: 1, ptr: 12, aaaa: 28, any: 255 } as const;
export const responseCode = {
  ok: 0,
  formatError: 1,
  serverFailure: 2,
  noSuchName: 3,
  notImplemented: 4,
} as const;

const HEADER_BYTES = 12;
const INTERNET = 1;
// Docker's; names rarely change while a container that knows them runs.
const TTL_SECONDS = 600;

/** A query's one question; `end` is where it ends in the message. */
export interface Question {
  readonly id: number;
  /** Lower case, without the last dot. */
  readonly name: string;
  readonly type: number;
  readonly recursionDesired: boolean;
  readonly end: number;
}

/** Reads a query; undefined for what is not a query with exactly one plain question (RFC 1035 section 4.1). */
export function parseQuestion(message: Buffer): Question | undefined {
  if (message.length < HEADER_BYTES) return undefined;
  const flags = message.readUInt16BE(2);
  const isQuery = (flags & 0x8000) === 0 && (flags & 0x7800) === 0;
  if (!isQuery || message.readUInt16BE(4) !== 1) return undefined;
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let total = 0; ; ) {
    const length = message[at];
    // Over 63 is a compression pointer, which has nothing to point at in a question.
    if (length === undefined || length > 63) return undefined;
    at++;
    if (length === 0) break;
    total += length + 1;
    if (total > 254 || at + length > message.length) return undefined;
    labels.push(message.toString('latin1', at, at + length));
    at += length;
  }
  if (at + 4 > message.length || message.readUInt16BE(at + 2) !== INTERNET) return undefined;
  return {
    id: message.readUInt16BE(0),
    name: labels.join('.').toLowerCase(),
    type: message.readUInt16BE(at),
    recursionDesired: (flags & 0x0100) !== 0,
    end: at + 4,
  };
}

function encodeName(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '');
  return Buffer.concat([
    ...labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')])),
    Buffer.from([0]),
  ]);
}

/** One answer: an IPv4 address, or a name for `ptr`. */
export type Answer =
  | { readonly type: 'a'; readonly address: string }
  | { readonly type: 'ptr'; readonly name: string };

function encodeAnswer(answer: Answer): Buffer {
  const data =
    answer.type === 'a' ? Buffer.from(answer.address.split('.').map(Number)) : encodeName(answer.name);
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc000 | HEADER_BYTES, 0); // the question's name
  head.writeUInt16BE(recordType[answer.type], 2);
  head.writeUInt16BE(INTERNET, 4);
  head.writeUInt32BE(TTL_SECONDS, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

/** A response to `query`, which repeats its question. No answers and `ok` means: the name is, but not with this type. */
export function respond(
  query: Buffer,
  question: Question,
  code: number,
  answers: readonly Answer[] = [],
): Buffer {
  const head = Buffer.alloc(HEADER_BYTES);
  head.writeUInt16BE(question.id, 0);
  head.writeUInt16BE(0x8080 | (question.recursionDesired ? 0x0100 : 0) | code, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(answers.length, 6);
  return Buffer.concat([head, query.subarray(HEADER_BYTES, question.end), ...answers.map(encodeAnswer)]);
}

/** The address a reverse name asks about: `2.0.17.172.in-addr.arpa` gives `172.17.0.2`. */
export function reverseAddress(name: string): string | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/.exec(name);
  return match ? match.slice(1).toReversed().join('.') : undefined;
}

/** Names bytes of the question, in order to compare a reply with its query. */
export function questionBytes(message: Buffer, question: Question): Buffer {
  return message.subarray(HEADER_BYTES, question.end);
}
