import type { Flag, ParsedArguments } from '../flags.ts';
import type { Terminal } from '../terminal.ts';
import { VarveError } from '../../base/index.ts';
import { formatTable } from './table.ts';
import { compileTemplate, type Template } from './template.ts';

/** A column of a listing: its header in the table and the field a `--format` names it by. */
export interface Column<T> {
  readonly header: string;
  readonly field: string;
  /** Null is one only in JSON. */
  readonly value: (row: T) => string | null;
  /** False: only there for `--format`. */
  readonly shown?: boolean;
}

export const formatFlag: Flag = {
  name: 'format',
  type: 'string',
  value: 'template',
  description: "How to print: 'table', 'table TEMPLATE', 'json', or a Go template",
};
export const quietFlag: Flag = { name: 'quiet', short: 'q', type: 'boolean', description: 'Only show ids' };
export const noTruncFlag: Flag = { name: 'no-trunc', type: 'boolean', description: "Don't shorten output" };
export const filterFlag: Flag = {
  name: 'filter',
  short: 'f',
  type: 'list',
  value: 'filter',
  description: 'Filter, e.g. name=value; may be given several times',
};

/** JSON with the letters escaped that Go escapes for HTML. */
function escapedJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<>&]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** `a=b,c=d`, as listings show labels. */
export function labelText(labels: Readonly<Record<string, string>> | null | undefined): string {
  return Object.entries(labels ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join(',');
}

/** Compiles a listing's template, in the words of Docker's errors. */
function listTemplate(format: string): Template {
  try {
    return compileTemplate(format, {
      missing: (name, path) =>
        `failed to execute template: template: :1: executing "" at <${path}>: can't evaluate field ${name}`,
    });
  } catch (error) {
    const { message } = VarveError.from(error);
    throw new VarveError(
      'invalid',
      'TEMPLATE_INVALID',
      message.replace('template parsing error', 'failed to parse template'),
    );
  }
}

/** True when a listing's format shows this field. */
export function formatNames(parsed: ParsedArguments, field: string): boolean {
  const format = parsed.flags.string('format') ?? '';
  return format.includes(`.${field}`);
}

/** Prints rows as a table, as JSON lines or by a template, as Docker's listings do. */
export function printList<T>(
  terminal: Terminal,
  parsed: ParsedArguments,
  columns: readonly Column<T>[],
  rows: readonly T[],
  id: (row: T) => string,
  labels?: (row: T) => Readonly<Record<string, string>> | null | undefined,
): void {
  const format = parsed.flags.string('format') ?? 'table';
  if (parsed.flags.boolean('quiet') && !parsed.flags.given('format')) {
    for (const row of rows) terminal.print(id(row));
    return;
  }
  const fields = columns.toSorted((a, b) => (a.field < b.field ? -1 : 1));
  const record = (row: T): Record<string, unknown> => ({
    ...Object.fromEntries(fields.map((column) => [column.field, column.value(row)])),
    ...(labels === undefined ? {} : { Label: (name: unknown) => labels(row)?.[String(name)] ?? '' }),
  });
  if (format === 'json') {
    for (const row of rows) terminal.print(escapedJson(record(row)));
    return;
  }
  if (format === 'table' || format.startsWith('table ')) {
    if (format === 'table') {
      const shown = columns.filter((column) => column.shown !== false);
      const cells = rows.map((row) => shown.map((column) => column.value(row) ?? ''));
      for (const line of formatTable(
        shown.map((column) => column.header),
        cells,
      ))
        terminal.print(line);
      return;
    }
    const template = listTemplate(format.slice(6));
    const headers = {
      ...Object.fromEntries(columns.map((column) => [column.field, column.header])),
      ...(labels === undefined ? {} : { Label: (name: unknown) => String(name) }),
    };
    const lines = [template(headers), ...rows.map((row) => template(record(row)))].map((line) =>
      line.split('\t'),
    );
    for (const line of formatTable(lines[0] ?? [], lines.slice(1))) terminal.print(line);
    return;
  }
  const template = listTemplate(format);
  for (const row of rows) terminal.print(template(record(row)));
}

/** `--filter a=b --filter a=c` as the API takes it. */
export function filtersOf(parsed: ParsedArguments): Record<string, string[]> {
  const filters: Record<string, string[]> = {};
  for (const text of parsed.flags.list('filter')) {
    const equals = text.indexOf('=');
    const name = equals === -1 ? text : text.slice(0, equals);
    (filters[name] ??= []).push(equals === -1 ? '' : text.slice(equals + 1));
  }
  return filters;
}
