import type { Flag, ParsedArguments } from '../flags.ts';
import type { Terminal } from '../terminal.ts';
import { formatTable } from './table.ts';
import { compileTemplate } from './template.ts';

/** A column of a listing: its header in the table and the field a `--format` names it by. */
export interface Column<T> {
  readonly header: string;
  readonly field: string;
  readonly value: (row: T) => string;
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

/** Prints rows as a table, as JSON lines or by a template, as Docker's listings do. */
export function printList<T>(
  terminal: Terminal,
  parsed: ParsedArguments,
  columns: readonly Column<T>[],
  rows: readonly T[],
  id: (row: T) => string,
): void {
  const format = parsed.flags.string('format') ?? 'table';
  if (parsed.flags.boolean('quiet') && !parsed.flags.given('format')) {
    for (const row of rows) terminal.print(id(row));
    return;
  }
  const record = (row: T): Record<string, string> =>
    Object.fromEntries(columns.map((column) => [column.field, column.value(row)]));
  if (format === 'json') {
    for (const row of rows) terminal.print(JSON.stringify(record(row)));
    return;
  }
  if (format === 'table' || format.startsWith('table ')) {
    if (format === 'table') {
      const shown = columns.filter((column) => column.shown !== false);
      const cells = rows.map((row) => shown.map((column) => column.value(row)));
      for (const line of formatTable(
        shown.map((column) => column.header),
        cells,
      ))
        terminal.print(line);
      return;
    }
    const template = compileTemplate(format.slice(6));
    const headers = Object.fromEntries(columns.map((column) => [column.field, column.header]));
    const lines = [template(headers), ...rows.map((row) => template(record(row)))].map((line) =>
      line.split('\t'),
    );
    for (const line of formatTable(lines[0] ?? [], lines.slice(1))) terminal.print(line);
    return;
  }
  const template = compileTemplate(format);
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
