import { VarveError } from '../base/index.ts';

/** A parsed JSON object of unknown shape. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** True for a JSON object (not null, not an array). */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function write(value: unknown): string | undefined {
  if (Array.isArray(value)) return `[${value.map((item) => write(item) ?? 'null').join(',')}]`;
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new VarveError('internal', 'JSON_NUMBER', `cannot write ${value} as JSON`);
  }
  if (!isJsonObject(value)) return JSON.stringify(value);
  const members: string[] = [];
  for (const key of Object.keys(value).sort()) {
    const text = write(value[key]);
    if (text !== undefined) members.push(`${JSON.stringify(key)}:${text}`);
  }
  return `{${members.join(',')}}`;
}

/**
 * JSON whose bytes depend on the data alone: keys sorted by UTF-16 code unit, no white space, undefined members
 * left out (RFC 8785 for the values that occur here). The digest of what we make is thereby reproducible.
 */
export function encodeJson(value: object): Buffer {
  return Buffer.from(write(value) ?? 'null');
}
