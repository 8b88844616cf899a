import type { State } from '../../state/index.ts';
import type { Row } from './rows.ts';
import type { ClaimedDelivery, NewDelivery } from './types.ts';

/** Rows of notifications that wait. Each method runs inside a transaction. */
export class Deliveries {
  readonly #state: State;

  constructor(state: State) {
    this.#state = state;
  }

  add(deliveries: readonly NewDelivery[] | undefined): void {
    const insert = this.#state.prepare(
      'INSERT INTO registry_deliveries (endpoint, body, created_at, due_at) VALUES (?, ?, ?, ?)',
    );
    const now = Date.now();
    for (const { endpoint, body } of deliveries ?? []) insert.run(endpoint, body, now, now);
  }

  claim(now: number, until: number, limit: number): ClaimedDelivery[] {
    const rows = this.#state
      .prepare('SELECT * FROM registry_deliveries WHERE due_at <= ? ORDER BY due_at, id LIMIT ?')
      .all(now, limit);
    const claim = this.#state.prepare('UPDATE registry_deliveries SET due_at = ? WHERE id = ?');
    for (const row of rows) claim.run(until, Number(row['id']));
    return rows.map(deliveryOfRow);
  }

  postpone(id: number, dueAt: number): void {
    this.#state
      .prepare('UPDATE registry_deliveries SET due_at = ?, attempts = attempts + 1 WHERE id = ?')
      .run(dueAt, id);
  }

  drop(id: number): void {
    this.#state.prepare('DELETE FROM registry_deliveries WHERE id = ?').run(id);
  }
}

/** The delivery of a row. */
export function deliveryOfRow(row: Row): ClaimedDelivery {
  return {
    id: Number(row['id']),
    endpoint: String(row['endpoint']),
    body: String(row['body']),
    createdAt: Number(row['created_at']),
    attempts: Number(row['attempts']),
  };
}
