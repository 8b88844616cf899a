import type { Schema } from '../../state/index.ts';

/**
 * Times are milliseconds since 1970. A blob's row without a size stands for one that a manifest names and that is not
 * here. Manifests are small (4 MiB at most, a few KiB as a rule) and are kept here, not in storage: a pull by tag is
 * one indexed read, and a tag and its manifest change in one transaction. `content` is the last column, so that a
 * read of the others does not touch its pages.
 */
export const registrySchema: Schema = {
  room: 'registry',
  migrations: [
    `
    CREATE TABLE registry_repositories (
      id INTEGER PRIMARY KEY,
      name TEXT NOT NULL UNIQUE,
      created_at INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE registry_blobs (
      id INTEGER PRIMARY KEY,
      digest TEXT NOT NULL UNIQUE,
      size INTEGER,
      stored_at INTEGER
    ) STRICT;

    CREATE TABLE registry_blob_links (
      repository_id INTEGER NOT NULL REFERENCES registry_repositories (id),
      blob_id INTEGER NOT NULL REFERENCES registry_blobs (id),
      linked_at INTEGER NOT NULL,
      PRIMARY KEY (repository_id, blob_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX registry_blob_links_blob ON registry_blob_links (blob_id);

    CREATE TABLE registry_manifests (
      id INTEGER PRIMARY KEY,
      repository_id INTEGER NOT NULL REFERENCES registry_repositories (id),
      digest TEXT NOT NULL,
      media_type TEXT NOT NULL,
      size INTEGER NOT NULL,
      pushed_at INTEGER NOT NULL,
      subject TEXT,
      artifact_type TEXT,
      annotations TEXT,
      content BLOB NOT NULL,
      UNIQUE (repository_id, digest)
    ) STRICT;
    CREATE INDEX registry_manifests_subject ON registry_manifests (repository_id, subject, digest)
      WHERE subject IS NOT NULL;

    CREATE TABLE registry_tags (
      repository_id INTEGER NOT NULL REFERENCES registry_repositories (id),
      name TEXT NOT NULL,
      manifest_id INTEGER NOT NULL REFERENCES registry_manifests (id) ON DELETE CASCADE,
      updated_at INTEGER NOT NULL,
      PRIMARY KEY (repository_id, name)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX registry_tags_manifest ON registry_tags (manifest_id);

    CREATE TABLE registry_manifest_blobs (
      manifest_id INTEGER NOT NULL REFERENCES registry_manifests (id) ON DELETE CASCADE,
      blob_id INTEGER NOT NULL REFERENCES registry_blobs (id),
      repository_id INTEGER NOT NULL,
      PRIMARY KEY (manifest_id, blob_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX registry_manifest_blobs_blob ON registry_manifest_blobs (blob_id, repository_id);

    CREATE TABLE registry_manifest_children (
      manifest_id INTEGER NOT NULL REFERENCES registry_manifests (id) ON DELETE CASCADE,
      child TEXT NOT NULL,
      repository_id INTEGER NOT NULL,
      PRIMARY KEY (manifest_id, child)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX registry_manifest_children_child ON registry_manifest_children (repository_id, child);
    `,
  ],
};
