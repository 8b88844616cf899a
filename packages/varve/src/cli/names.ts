import { canonicalReference, familiarName, parseReference, withDefaultTag } from '../oci/index.ts';

/** `host/app:1` as the API takes it: repository and tag apart. @throws VarveError `invalid`. */
export function splitTag(text: string): { readonly repo: string; readonly tag: string } {
  const reference = parseReference(text);
  return { repo: familiarName(reference), tag: reference.digest ?? reference.tag ?? 'latest' };
}

/** Registry host of a reference. */
export function registryOf(text: string): string {
  return parseReference(text).domain;
}

/** The full name, as `docker pull` prints it last. */
export function canonicalReferenceOf(text: string): string {
  return canonicalReference(withDefaultTag(parseReference(text)));
}
