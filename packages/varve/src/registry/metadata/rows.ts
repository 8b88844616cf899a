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
  return {
    mediaType: String(row['media_type']),
    digest: digestOfRow(row),
    size: Number(row['size']),
    ...(row['artifact_type'] === null ? {} : { artifactType: String(row['artifact_type']) }),
    ...(row['annotations'] === null
      ? {}
      : { annotations: JSON.parse(String(row['annotations'])) as Record<string, string> }),
  };
}
