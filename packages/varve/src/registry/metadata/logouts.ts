import { change, type Records, row, type Steps } from './steps.ts';
import type { Awaitable, LogoutRecords } from './types.ts';

/** {@link LogoutRecords} in SQL. */
export class Logouts implements LogoutRecords {
  readonly #records: Records;

  constructor(records: Records) {
    this.#records = records;
  }

  async add(session: string, expiresAt: number, now: number): Promise<void> {
    await this.#records.write(() => addLogout(session, expiresAt, now));
  }

  has(session: string): Awaitable<boolean> {
    return this.#records.read(hasLogout(session));
  }
}

function* addLogout(session: string, expiresAt: number, now: number): Steps<void> {
  yield* change('DELETE FROM registry_logouts WHERE expires_at <= ?1', now);
  yield* change(
    'INSERT INTO registry_logouts (session, expires_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING',
    session,
    expiresAt,
  );
}

function* hasLogout(session: string): Steps<boolean> {
  return (yield* row('SELECT 1 FROM registry_logouts WHERE session = ?1', session)) !== undefined;
}
