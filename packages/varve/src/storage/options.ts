import { VarveError } from '../base/index.ts';

/** One `--storage-opt` of the engine: `['overlay2.size', '10G']`. The key is in lower case. */
export type StorageOption = readonly [key: string, value: string];

/**
 * Splits options written as `key=value`, as dockerd does.
 * @throws VarveError `invalid` for one without `=`.
 */
export function parseStorageOptions(texts: readonly string[]): StorageOption[] {
  return texts.map((text) => {
    const at = text.indexOf('=');
    if (at < 0) {
      throw new VarveError(
        'invalid',
        'INVALID_STORAGE_OPT',
        `unable to parse storage-opt key/value: ${text}`,
        { subject: text, hint: 'write it as key=value, e.g. overlay2.size=10G' },
      );
    }
    return [text.slice(0, at).trim().toLowerCase(), text.slice(at + 1).trim()];
  });
}

type Readers = Readonly<Record<string, (value: string) => unknown>>;

/**
 * Reads a driver's options by a table of its keys; of a key given twice the last one counts.
 *
 *     const { 'overlay2.size': size } = readStorageOptions('overlay2', options, { 'overlay2.size': parseBytes });
 *
 * @throws VarveError `invalid` for a key that the table lacks, and whatever a reader throws.
 */
export function readStorageOptions<R extends Readers>(
  driver: string,
  options: readonly StorageOption[],
  readers: R,
): { readonly [K in keyof R]?: ReturnType<R[K]> } {
  const values: Record<string, unknown> = {};
  for (const [key, value] of options) {
    const read = Object.hasOwn(readers, key) ? readers[key] : undefined;
    if (!read) {
      const known = Object.keys(readers).join(', ');
      throw new VarveError('invalid', 'UNKNOWN_STORAGE_OPT', `${driver}: unknown option ${key}`, {
        subject: key,
        hint: known === '' ? `${driver} has no options` : `known options: ${known}`,
      });
    }
    values[key] = read(value);
  }
  return values as { readonly [K in keyof R]?: ReturnType<R[K]> };
}

const booleans = new Map<string, boolean>([
  ...['1', 't', 'T', 'TRUE', 'true', 'True'].map((text) => [text, true] as const),
  ...['0', 'f', 'F', 'FALSE', 'false', 'False'].map((text) => [text, false] as const),
]);

/** A truth value as Go's strconv.ParseBool reads it. @throws VarveError `invalid`. */
export function parseBooleanOption(value: string): boolean {
  const read = booleans.get(value);
  if (read !== undefined) return read;
  throw new VarveError(
    'invalid',
    'INVALID_STORAGE_OPT',
    `strconv.ParseBool: parsing "${value}": invalid syntax`,
    { subject: value },
  );
}
