import type { Schema } from '../state/index.ts';

/** Records of the builder: the cache's steps, and digests of files. */
export const builderSchema: Schema = {
  room: 'builder',
  migrations: [
    `
    CREATE TABLE builder_steps (
      key TEXT PRIMARY KEY,
      -- State of the image before the step, and its text: how a miss is explained.
      before TEXT NOT NULL,
      text TEXT NOT NULL,
      inputs TEXT NOT NULL,
      -- What it gave.
      image TEXT NOT NULL,
      parent_image TEXT,
      diff_id TEXT,
      layers TEXT NOT NULL,
      created TEXT NOT NULL,
      created_by TEXT NOT NULL,
      size INTEGER NOT NULL,
      made_at INTEGER NOT NULL,
      used_at INTEGER NOT NULL,
      uses INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX builder_steps_text ON builder_steps (text, made_at);
    CREATE INDEX builder_steps_before ON builder_steps (before, made_at);
    -- What a selection of files of an immutable tree holds, so that it need not be mounted to know.
    CREATE TABLE builder_selections (
      selection TEXT PRIMARY KEY,
      digest TEXT NOT NULL,
      -- JSON of a SelectionContent.
      files TEXT NOT NULL,
      seen_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE builder_file_hashes (
      identity TEXT PRIMARY KEY,
      sha256 TEXT NOT NULL,
      seen_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    `,
  ],
};
