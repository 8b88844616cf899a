import { VarveError } from '../base/index.ts';
import { isJsonObject, type JsonObject } from './json.ts';

/** Largest manifest or index accepted: what registries accept (distribution `maxManifestBodySize`). */
export const manifestSizeLimit = 4 * 1024 * 1024;

/** Says what is wrong with a document; the code names the kind of document. */
export class DocumentFault {
  readonly code: 'MANIFEST_INVALID' | 'CONFIG_INVALID';
  readonly what: string;

  constructor(code: 'MANIFEST_INVALID' | 'CONFIG_INVALID', what: string) {
    this.code = code;
    this.what = what;
  }

  /** The error to throw; `why` follows `invalid manifest: `. */
  error(why: string, cause?: unknown): VarveError {
    return new VarveError('invalid', this.code, `invalid ${this.what}: ${why}`, { cause });
  }
}

/** Bytes to a JSON object: size, UTF-8 and syntax checked. */
export function readObject(bytes: Uint8Array, limit: number, fault: DocumentFault): JsonObject {
  if (bytes.byteLength > limit) {
    throw new VarveError(
      'too-large',
      fault.code,
      `invalid ${fault.what}: ${bytes.byteLength} bytes are over the limit of ${limit}`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    throw fault.error('it is not JSON in UTF-8', error);
  }
  if (!isJsonObject(value)) throw fault.error('it is not a JSON object');
  return value;
}

/**
 * Refuses members that differ from a known one in case only: Go's decoder takes `Layers` for `layers`, others do
 * not, so that one document would be two (GHSA-qq97-vm5h-rrhg is the same trick with two known members).
 */
export function refuseCaseVariants(object: JsonObject, known: readonly string[], fault: DocumentFault): void {
  for (const key of Object.keys(object)) {
    const lower = key.toLowerCase();
    const twin = known.find((name) => name !== key && name.toLowerCase() === lower);
    if (twin !== undefined)
      throw fault.error(`the member ${JSON.stringify(key.slice(0, 100))} is ambiguous with "${twin}"`);
  }
}

/** An optional string member; JSON null counts as absent, as Go's decoder has it. */
export function optionalString(object: JsonObject, key: string, fault: DocumentFault): string | undefined {
  const value = object[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw fault.error(`"${key}" is not a string`);
  return value;
}

/** A string member that must be there. */
export function requiredString(object: JsonObject, key: string, fault: DocumentFault): string {
  const value = optionalString(object, key, fault);
  if (value === undefined || value === '') throw fault.error(`"${key}" is missing`);
  return value;
}

/** An optional list of strings. */
export function optionalStrings(
  object: JsonObject,
  key: string,
  fault: DocumentFault,
): readonly string[] | undefined {
  const value = object[key];
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
    throw fault.error(`"${key}" is not a list of strings`);
  }
  return value;
}

/** An optional object whose values are strings. */
export function optionalStringMap(
  object: JsonObject,
  key: string,
  fault: DocumentFault,
): Readonly<Record<string, string>> | undefined {
  const value = object[key];
  if (value === undefined || value === null) return undefined;
  if (!isJsonObject(value) || !Object.values(value).every((item) => typeof item === 'string')) {
    throw fault.error(`"${key}" is not an object of strings`);
  }
  return value as Readonly<Record<string, string>>;
}

/** Leaves undefined members out: the form in which optional members are kept under exactOptionalPropertyTypes. */
export function compact<T extends object>(
  object: {
    readonly [K in keyof T]: T[K] | undefined;
  },
): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;
}
