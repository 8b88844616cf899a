import type { OciProcess, OciSpec } from './oci-spec.ts';

// ES2025's JSON.rawJSON, in Node since 22.
const RLIM_INFINITY = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON('18446744073709551615');

/** The JSON text of a config.json or an exec's process.json; Infinity becomes RLIM_INFINITY (2^64 - 1). */
export function encodeSpec(spec: OciSpec | OciProcess): string {
  return JSON.stringify(spec, (_, value: unknown) =>
    value === Number.POSITIVE_INFINITY ? RLIM_INFINITY : value,
  );
}
