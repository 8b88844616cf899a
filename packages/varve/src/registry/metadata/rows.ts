import { VarveError } from '../../base/index.ts';
import { type Descriptor, type Digest, isDigest } from '../../oci/index.ts';

/** A row as the database gives it. */
export type Row = Readonly<Record<string, unknown>>;

/** The `digest` column. @throws VarveError `data-loss` when the database holds something else */
export function digestOfRow(row: Row): Digest {
  const text = String(row['digest']);
  if (isDigest(text)) return text;
  throw new VarveError('data-loss', 'RECORD_INVALID', `a record has the digest ${JSON.stringify(text)}`);
}

/** The descriptor of a referrer, with the annotations of its manifest. */
export function referrerOfRow(row: Row): Descriptor {
  const artifactType = textOf(row, 'artifact_type');
  const annotations = textOf(row, 'annotations');
  return {
    mediaType: String(row['media_type']),
    digest: digestOfRow(row),
    size: Number(row['size']),
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations: JSON.parse(annotations) as Record<string, string> }),
  };
}

/** A column of text; undefined for NULL. */
export function textOf(row: Row, column: string): string | undefined {
  const value = row[column];
  return typeof value === 'string' ? value : undefined;
}
