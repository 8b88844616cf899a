import { isEmpty, printValue } from './template-values.ts';

type TemplateFunction = (...values: unknown[]) => unknown;

function compare(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
}

function index(collection: unknown, ...keys: unknown[]): unknown {
  let current = collection;
  for (const key of keys) current = (current as Record<string, unknown> | undefined)?.[String(key)];
  return current;
}

/** Functions of text/template and those Docker adds (docker/cli templates). */
export const templateFunctions: Readonly<Record<string, TemplateFunction>> = {
  json: (value) => JSON.stringify(value ?? null),
  split: (text, separator) => String(text).split(String(separator)),
  join: (list, separator) => (list as unknown[]).map(String).join(String(separator)),
  title: (text) => String(text).replace(/\b\p{L}/gu, (letter) => letter.toUpperCase()),
  lower: (text) => String(text).toLowerCase(),
  upper: (text) => String(text).toUpperCase(),
  pad: (text, before, after) => ' '.repeat(Number(before)) + String(text) + ' '.repeat(Number(after)),
  truncate: (text, length) => String(text).slice(0, Number(length)),
  println: (...values) => `${values.map((value) => printValue(value)).join(' ')}\n`,
  print: (...values) => values.map((value) => printValue(value)).join(''),
  printf: (format, ...values) => {
    let at = 0;
    return String(format).replace(/%(-?\d*)([sdvq%])/g, (_, size: string, verb: string) => {
      if (verb === '%') return '%';
      const value = values[at++];
      const text = verb === 'q' ? JSON.stringify(String(value)) : printValue(value);
      return size.startsWith('-') ? text.padEnd(Number(size.slice(1))) : text.padStart(Number(size));
    });
  },
  len: (value) =>
    typeof value === 'string' || Array.isArray(value) ? value.length : Object.keys(value ?? {}).length,
  index,
  slice: (value, start, end) =>
    (value as string | unknown[]).slice(Number(start ?? 0), end === undefined ? undefined : Number(end)),
  and: (...values) => values.find(isEmpty) ?? values.at(-1),
  or: (...values) => values.find((value) => !isEmpty(value)) ?? values.at(-1),
  not: (value) => isEmpty(value),
  eq: (value, ...others) => others.some((other) => compare(value, other) === 0),
  ne: (a, b) => compare(a, b) !== 0,
  lt: (a, b) => compare(a, b) < 0,
  le: (a, b) => compare(a, b) <= 0,
  gt: (a, b) => compare(a, b) > 0,
  ge: (a, b) => compare(a, b) >= 0,
};
