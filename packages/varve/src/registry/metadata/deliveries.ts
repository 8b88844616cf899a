import type { Row } from './rows.ts';
import { change, rows, type Steps } from './steps.ts';
import type { ClaimedDelivery, NewDelivery } from './types.ts';

export function* addDeliveries(deliveries: readonly NewDelivery[] | undefined): Steps<void> {
  for (const { endpoint, body } of deliveries ?? []) {
    yield* change(
      'INSERT INTO registry_deliveries (endpoint, body, created_at, due_at) VALUES (?1, ?2, ?3, ?3)',
      endpoint,
      body,
      Date.now(),
    );
  }
}

/** One statement: no two servers take the same. @param skipLocked see Dialect */
export function* claimDeliveries(
  now: number,
  until: number,
  limit: number,
  skipLocked: string,
): Steps<ClaimedDelivery[]> {
  const claimed = yield* rows(
    `UPDATE registry_deliveries SET due_at = ?2 WHERE id IN (
       SELECT id FROM registry_deliveries WHERE due_at <= ?1 ORDER BY due_at, id LIMIT ?3 ${skipLocked}
     ) RETURNING *`,
    now,
    until,
    limit,
  );
  return claimed.map(deliveryOfRow).toSorted((a, b) => a.id - b.id);
}

export function* postponeDelivery(id: number, dueAt: number): Steps<void> {
  yield* change(
    'UPDATE registry_deliveries SET due_at = ?2, attempts = attempts + 1 WHERE id = ?1',
    id,
    dueAt,
  );
}

export function* dropDelivery(id: number): Steps<void> {
  yield* change('DELETE FROM registry_deliveries WHERE id = ?1', id);
}

function deliveryOfRow(found: Row): ClaimedDelivery {
  return {
    id: Number(found['id']),
    endpoint: String(found['endpoint']),
    body: String(found['body']),
    createdAt: Number(found['created_at']),
    attempts: Number(found['attempts']),
  };
}
