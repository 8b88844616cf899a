import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { VarveError } from '../base/index.ts';

/** Largest JSON document that is read. */
export const jsonLimit = 4 * 1024 * 1024;

/** Reads a body whole; what is left of one that is too large stays unread. @throws VarveError `too-large` over `limit` bytes. */
export async function readBody(stream: Readable, limit = jsonLimit): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  // Destroying a request would take the connection with it, and the answer that says why.
  for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) {
      throw new VarveError('too-large', 'BODY_TOO_LARGE', `request body is larger than ${limit} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function invalid(message: string): VarveError {
  return new VarveError('invalid', 'INVALID_JSON', message);
}

/** True when the request says that a body follows. */
export function announcesBody(request: IncomingMessage): boolean {
  const length = request.headers['content-length'];
  return request.headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}

/** Refuses a body of another type than JSON, in Docker's words; a request without a body may have any. */
export function requireJsonType(request: IncomingMessage): void {
  const type = request.headers['content-type'] ?? '';
  if (type === '' && !announcesBody(request)) return;
  if (/^application\/json\s*(;|$)/i.test(type)) return;
  throw invalid(`unsupported Content-Type header (${type}): must be 'application/json'`);
}

/** No document of this API nests deeper than ten; readers of it recurse. */
const depthLimit = 100;

/** Whether arrays and objects nest deeper than the limit; strings are skipped. */
function tooDeep(text: string): boolean {
  let depth = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/gs)) {
    if (token === '[' || token === '{') depth++;
    else if (token === ']' || token === '}') depth--;
    if (depth > depthLimit) return true;
  }
  return false;
}

/** A body as a JSON object. @throws VarveError `invalid` in Docker's words. */
export function parseJsonObject(body: Buffer): Record<string, unknown> {
  if (body.length === 0) throw invalid('invalid JSON: got EOF while reading request body');
  const text = body.toString('utf8');
  if (tooDeep(text)) throw invalid('invalid JSON: exceeded max depth');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(`invalid JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw invalid('invalid JSON: expected an object');
  return value as Record<string, unknown>;
}
