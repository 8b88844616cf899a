import type { Row } from './rows.ts';
import type { Awaitable } from './types.ts';

export type SqlValue = string | number | Uint8Array | null;

/** One statement; its values stand where its text says `?1`, `?2`, … */
export interface Statement {
  readonly text: string;
  readonly values: readonly SqlValue[];
  /** The rows that it finds (or returns), the first of them, those of the column `name`, or how many it changed. */
  readonly wants: 'rows' | 'row' | 'names' | 'changes';
}

export interface Answer {
  readonly rows: readonly Row[];
  readonly changes: number;
  /** In place of rows, from a database that has a faster way for them. */
  readonly names?: string[];
}

/**
 * Work on the records as the statements it makes, each answered before it goes on. So it is written once: SQLite answers at
 * once, PostgreSQL over the network.
 */
export type Steps<T> = Generator<Statement, T, Answer>;

/** Where the SQL of the databases differs. */
export interface Dialect {
  /** When a repository counts as having been given a blob, of the rows `l` of links and `b` of blobs. */
  readonly linkAge: string;
  /** Ends a SELECT of rows to be changed: those that another server is changing are passed over. */
  readonly skipLocked: string;
}

/** A database that the records are in. */
export interface Records {
  readonly dialect: Dialect;
  /** Runs statements that change nothing; each sees what is committed by then. */
  read<T>(steps: Steps<T>): Awaitable<T>;
  /** Runs `steps` all or nothing, and again when another node's came between: they have no effects of their own. */
  write<T>(steps: () => Steps<T>): Promise<T>;
  /** Runs statements that each stand alone, and that a loss of power may undo. */
  note<T>(steps: Steps<T>): Awaitable<T>;
}

/** The rows that a statement finds. */
export function* rows(text: string, ...values: readonly SqlValue[]): Steps<readonly Row[]> {
  return (yield { text, values, wants: 'rows' }).rows;
}

/** The column `name` of the rows that a SELECT finds, in their order. */
export function* names(text: string, ...values: readonly SqlValue[]): Steps<string[]> {
  const answer = yield { text, values, wants: 'names' };
  return answer.names ?? answer.rows.map((one) => String(one['name']));
}

/** The first row that a statement finds. */
export function* row(text: string, ...values: readonly SqlValue[]): Steps<Row | undefined> {
  return (yield { text, values, wants: 'row' }).rows[0];
}

/** How many rows a statement changed. */
export function* change(text: string, ...values: readonly SqlValue[]): Steps<number> {
  return (yield { text, values, wants: 'changes' }).changes;
}
