import { VarveError } from '../../base/index.ts';
import { type Digest, isDigest } from '../../oci/index.ts';

/** A row as the database gives it. */
export type Row = Readonly<Record<string, unknown>>;

/** The `digest` column. @throws VarveError `data-loss` when the database holds something else */
export function digestOfRow(row: Row): Digest {
  const text = String(row['digest']);
  if (isDigest(text)) return text;
  throw new VarveError('data-loss', 'RECORD_INVALID', `a record has the digest ${JSON.stringify(text)}`);
}
