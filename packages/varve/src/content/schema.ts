import type { Schema } from '../state/index.ts';

/** A row for each blob whose file is whole, verified and durable; written after the file. */
export const contentSchema: Schema = {
  room: 'content',
  migrations: [
    `CREATE TABLE content_blobs (
       digest TEXT PRIMARY KEY,
       size INTEGER NOT NULL CHECK (size >= 0)
     ) STRICT, WITHOUT ROWID`,
  ],
};
