import { createHash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { Pool, type PoolClient, type PoolConfig, types } from 'pg';
import { KeyedLock, VarveError } from '../../../base/index.ts';
import { RegistryError } from '../../errors.ts';
import type { Row } from '../rows.ts';
import type { Answer, Statement } from '../steps.ts';
import { migrations } from './schema.ts';

// Sizes and times are below 2^53: as numbers, not as text. A sum of INT8 is NUMERIC.
const numbers: ReadonlySet<number> = new Set([types.builtins.INT8, types.builtins.NUMERIC]);

/** SQLSTATE of a transaction that has to be tried again: serialization_failure, deadlock_detected. */
const retried: ReadonlySet<unknown> = new Set(['40001', '40P01']);
/** unique_violation: two serializable transactions made the same row. */
const uniqueViolation = '23505';
const maxTries = 30;
/**
 * Who lost so often goes alone: two nodes and a collector that loops let one write of some thousands lose thirty times. LOCK
 * TABLE takes no snapshot, so that what is read then is what the others left (postgresql.org/docs/15/sql-lock.html), and
 * EXCLUSIVE stops writers, not a dump.
 */
const triesTogether = 8;
const begin = (mode: 'ROW SHARE' | 'EXCLUSIVE'): string =>
  `BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE registry_schema IN ${mode} MODE`;
/** Connections for locks are apart: their holders need others for what they do. */
const lockConnections = 16;
/** Any number that nobody else takes: `varve`. */
const migrationLock = 0x7661727665;

interface Prepared {
  readonly name: string;
  readonly text: string;
}

/** Where statements are made: in one transaction, or each in its own. */
export interface Statements {
  answer(statement: Statement): Promise<Answer>;
}

/**
 * A PostgreSQL database for the registry's records. Writes are serializable transactions that are tried again when another
 * node's came between (postgresql.org/docs/15/transaction-iso.html), so that nobody has to reason about locks.
 */
export class Database implements Statements {
  readonly #pool: Pool;
  readonly #locks: Pool;
  /** In front of the database's locks, so that this process's own waiters take no connection. */
  readonly #turns = new KeyedLock();
  readonly #prepareds = new Map<string, Prepared>();

  /** @param url `postgres://user:password@host:port/database` */
  constructor(url: string, options: { readonly connections?: number } = {}) {
    const config: PoolConfig = {
      connectionString: url,
      connectionTimeoutMillis: 10_000,
      idleTimeoutMillis: 60_000,
      application_name: 'varve registry',
      types: {
        getTypeParser: (type, format) => (numbers.has(type) ? Number : types.getTypeParser(type, format)),
      },
    };
    this.#pool = new Pool({ ...config, max: options.connections ?? 16 });
    this.#locks = new Pool({ ...config, max: lockConnections });
    // An idle connection that breaks is replaced when the next is asked for.
    for (const pool of [this.#pool, this.#locks]) pool.on('error', () => undefined);
  }

  /** Makes or brings up to date the tables. Nodes that start at once take turns. */
  async migrate(): Promise<void> {
    await this.#with(this.#pool, async (client) => {
      await client.query('SELECT pg_advisory_lock($1)', [migrationLock]);
      try {
        await client.query('BEGIN');
        await client.query('CREATE TABLE IF NOT EXISTS registry_schema (version BIGINT NOT NULL)');
        const found = await client.query<{ version: number }>('SELECT version FROM registry_schema');
        const version = found.rows[0]?.version ?? 0;
        if (version > migrations.length) {
          throw new VarveError(
            'unavailable',
            'STATE_TOO_NEW',
            `the records have version ${version}, this Varve knows ${migrations.length}`,
            { hint: 'use the Varve that wrote them, or a newer one' },
          );
        }
        for (const text of migrations.slice(version)) await client.query(text);
        await client.query('DELETE FROM registry_schema');
        await client.query('INSERT INTO registry_schema VALUES ($1)', [migrations.length]);
        await client.query('COMMIT');
      } catch (error) {
        await client.query('ROLLBACK').catch(() => undefined);
        throw error;
      } finally {
        await client.query('SELECT pg_advisory_unlock($1)', [migrationLock]).catch(() => undefined);
      }
    });
  }

  async answer(statement: Statement): Promise<Answer> {
    try {
      return await this.#query(this.#pool, statement);
    } catch (error) {
      throw asUnavailable(error);
    }
  }

  /** Runs `work` all or nothing, again when another transaction came between: it must have no effects of its own. */
  async write<T>(work: (transaction: Statements) => Promise<T>): Promise<T> {
    return await this.#with(this.#pool, async (client) => {
      for (let tries = 1; ; tries++) {
        try {
          await client.query(begin(tries <= triesTogether ? 'ROW SHARE' : 'EXCLUSIVE'));
          const result = await work({ answer: (statement) => this.#query(client, statement) });
          await client.query('COMMIT');
          return result;
        } catch (error) {
          await client.query('ROLLBACK').catch(() => undefined);
          const code = codeOf(error);
          if (!(retried.has(code) || code === uniqueViolation) || tries >= maxTries) throw error;
          await setTimeout(Math.random() * Math.min(5 * tries, 100));
        }
      }
    });
  }

  /** Runs `work` while no other node, and nobody here, does so under the same key. */
  async locked<T>(key: string, work: () => Promise<T>): Promise<T> {
    return await this.#turns.run(key, () =>
      this.#with(this.#locks, async (client) => {
        const number = lockNumber(key);
        await client.query('SELECT pg_advisory_lock($1)', [number]);
        try {
          return await work();
        } finally {
          await client.query('SELECT pg_advisory_unlock($1)', [number]);
        }
      }),
    );
  }

  async close(): Promise<void> {
    await Promise.all([this.#pool.end(), this.#locks.end()]);
  }

  async #with<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
    let client: PoolClient;
    try {
      client = await pool.connect();
    } catch (error) {
      throw asUnavailable(error);
    }
    let broken: Error | undefined;
    const onError = (error: Error): void => void (broken = error);
    client.on('error', onError);
    try {
      return await work(client);
    } catch (error) {
      throw asUnavailable(error);
    } finally {
      client.off('error', onError);
      client.release(broken);
    }
  }

  async #query(place: Pool | PoolClient, { text, values }: Statement): Promise<Answer> {
    const { rows, rowCount } = await place.query<Row>({ ...this.#prepared(text), values: [...values] });
    return { rows, changes: rowCount ?? 0 };
  }

  /** Statements are prepared once per connection, under a name. Places of values are `$1` here, and `?1` in SQLite. */
  #prepared(text: string): Prepared {
    let prepared = this.#prepareds.get(text);
    if (!prepared) {
      prepared = { name: `varve_${this.#prepareds.size}`, text: text.replaceAll(/\?(?=\d)/g, '$') };
      this.#prepareds.set(text, prepared);
    }
    return prepared;
  }
}

function lockNumber(key: string): bigint {
  return createHash('sha256').update(key).digest().readBigInt64BE();
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** Failures of the connection or of the server, as the 503 that makes a client come back. */
function asUnavailable(error: unknown): unknown {
  const code = codeOf(error);
  const text = typeof code === 'string' ? code : '';
  const lost =
    /^(?:08|53|57P|E[A-Z]+$)/.test(text) ||
    (error instanceof Error && !(error instanceof VarveError) && /timeout|terminated/i.test(error.message));
  if (!lost || error instanceof VarveError) return error;
  return new RegistryError('UNAVAILABLE', { message: 'the database cannot be reached', cause: error });
}
