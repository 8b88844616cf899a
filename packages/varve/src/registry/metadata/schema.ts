import type { Schema } from '../../state/index.ts';

// Milliseconds since 1970 in SQL. sqlite.org/lang_datefunc.html
const nowMs = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

/**
 * What each repository is billed for: its links' bytes and its manifests' bytes. Kept by triggers, so that no way of
 * making or removing a row (a cascade, a sweep) can miss it.
 */
const usageMigration = `
    ALTER TABLE registry_repositories ADD COLUMN used_bytes INTEGER NOT NULL DEFAULT 0;
    UPDATE registry_repositories SET used_bytes =
      coalesce((SELECT sum(b.size) FROM registry_blob_links l JOIN registry_blobs b ON b.id = l.blob_id
                WHERE l.repository_id = registry_repositories.id), 0)
      + coalesce((SELECT sum(m.size) FROM registry_manifests m
                  WHERE m.repository_id = registry_repositories.id), 0);
    CREATE INDEX registry_repositories_usage ON registry_repositories (name, used_bytes);

    CREATE TRIGGER registry_link_billed AFTER INSERT ON registry_blob_links BEGIN
      UPDATE registry_repositories
      SET used_bytes = used_bytes + coalesce((SELECT size FROM registry_blobs WHERE id = NEW.blob_id), 0)
      WHERE id = NEW.repository_id;
    END;
    CREATE TRIGGER registry_link_unbilled AFTER DELETE ON registry_blob_links BEGIN
      UPDATE registry_repositories
      SET used_bytes = used_bytes - coalesce((SELECT size FROM registry_blobs WHERE id = OLD.blob_id), 0)
      WHERE id = OLD.repository_id;
    END;
    CREATE TRIGGER registry_manifest_billed AFTER INSERT ON registry_manifests BEGIN
      UPDATE registry_repositories SET used_bytes = used_bytes + NEW.size WHERE id = NEW.repository_id;
    END;
    CREATE TRIGGER registry_manifest_unbilled AFTER DELETE ON registry_manifests BEGIN
      UPDATE registry_repositories SET used_bytes = used_bytes - OLD.size WHERE id = OLD.repository_id;
    END;
    `;

/**
 * What the collector has to look at: every change that may have left something without a need puts it here, so that a
 * collection costs what there is to review and not what there is. A row says only "look": need is asked of the tables.
 * `since` is when the grace begins: with a push, and for a manifest with the loss of a tag; 0 where nobody counts on it.
 */
const reviewMigration = `
    CREATE TABLE registry_review (
      id INTEGER PRIMARY KEY,
      kind TEXT NOT NULL CHECK (kind IN ('manifest', 'link', 'blob')),
      repository_id INTEGER NOT NULL,
      subject_id INTEGER NOT NULL,
      since INTEGER NOT NULL,
      UNIQUE (kind, repository_id, subject_id)
    ) STRICT;
    CREATE INDEX registry_review_kind ON registry_review (kind, id);
    INSERT INTO registry_review (kind, repository_id, subject_id, since)
      SELECT 'manifest', repository_id, id, pushed_at FROM registry_manifests;
    INSERT INTO registry_review (kind, repository_id, subject_id, since)
      SELECT 'link', repository_id, blob_id, linked_at FROM registry_blob_links;
    INSERT INTO registry_review (kind, repository_id, subject_id, since)
      SELECT 'blob', 0, id, coalesce(stored_at, 0) FROM registry_blobs
      WHERE NOT EXISTS (SELECT 1 FROM registry_blob_links l WHERE l.blob_id = registry_blobs.id);

    CREATE TRIGGER registry_review_new_link AFTER INSERT ON registry_blob_links BEGIN
      INSERT INTO registry_review (kind, repository_id, subject_id, since)
      VALUES ('link', NEW.repository_id, NEW.blob_id, NEW.linked_at)
      ON CONFLICT (kind, repository_id, subject_id) DO UPDATE SET since = excluded.since;
    END;
    CREATE TRIGGER registry_review_unnamed_blob AFTER DELETE ON registry_manifest_blobs BEGIN
      INSERT INTO registry_review (kind, repository_id, subject_id, since)
      VALUES ('link', OLD.repository_id, OLD.blob_id, 0)
      ON CONFLICT (kind, repository_id, subject_id) DO NOTHING;
    END;
    CREATE TRIGGER registry_review_unlinked_blob AFTER DELETE ON registry_blob_links BEGIN
      INSERT INTO registry_review (kind, repository_id, subject_id, since)
      VALUES ('blob', 0, OLD.blob_id, 0)
      ON CONFLICT (kind, repository_id, subject_id) DO NOTHING;
    END;
    CREATE TRIGGER registry_review_new_manifest AFTER INSERT ON registry_manifests BEGIN
      INSERT INTO registry_review (kind, repository_id, subject_id, since)
      VALUES ('manifest', NEW.repository_id, NEW.id, NEW.pushed_at)
      ON CONFLICT (kind, repository_id, subject_id) DO UPDATE SET since = excluded.since;
    END;
    CREATE TRIGGER registry_review_untagged AFTER DELETE ON registry_tags BEGIN
      INSERT INTO registry_review (kind, repository_id, subject_id, since)
      VALUES ('manifest', OLD.repository_id, OLD.manifest_id, ${nowMs})
      ON CONFLICT (kind, repository_id, subject_id) DO UPDATE SET since = excluded.since;
    END;
    CREATE TRIGGER registry_review_retagged AFTER UPDATE OF manifest_id ON registry_tags
    WHEN NEW.manifest_id != OLD.manifest_id BEGIN
      INSERT INTO registry_review (kind, repository_id, subject_id, since)
      VALUES ('manifest', OLD.repository_id, OLD.manifest_id, ${nowMs})
      ON CONFLICT (kind, repository_id, subject_id) DO UPDATE SET since = excluded.since;
    END;
    CREATE TRIGGER registry_review_orphan AFTER DELETE ON registry_manifest_children BEGIN
      INSERT INTO registry_review (kind, repository_id, subject_id, since)
      SELECT 'manifest', OLD.repository_id, id, 0 FROM registry_manifests
      WHERE repository_id = OLD.repository_id AND digest = OLD.child
      ON CONFLICT (kind, repository_id, subject_id) DO NOTHING;
    END;
    CREATE TRIGGER registry_review_referrers AFTER DELETE ON registry_manifests BEGIN
      INSERT INTO registry_review (kind, repository_id, subject_id, since)
      SELECT 'manifest', repository_id, id, 0 FROM registry_manifests
      WHERE repository_id = OLD.repository_id AND subject = OLD.digest
      ON CONFLICT (kind, repository_id, subject_id) DO NOTHING;
    END;
    `;

/** When a tag was last pulled, for retention; and blobs whose bytes a scrub found damaged, which are as good as absent. */
const pullsMigration = `
    ALTER TABLE registry_tags ADD COLUMN pulled_at INTEGER;
    ALTER TABLE registry_blobs ADD COLUMN damaged_at INTEGER;
    CREATE INDEX registry_blobs_damaged ON registry_blobs (damaged_at) WHERE damaged_at IS NOT NULL;
    `;

/**
 * Manifests and tags whose copy in storage (../rebuild/) is not what is here. `version` counts changes, so that a change made
 * while a copy was written is not taken for written.
 */
const copiesMigration = `
    CREATE TABLE registry_uncopied (
      id INTEGER PRIMARY KEY,
      kind TEXT NOT NULL CHECK (kind IN ('manifest', 'tag')),
      repository_id INTEGER NOT NULL,
      name TEXT NOT NULL,
      version INTEGER NOT NULL DEFAULT 1,
      UNIQUE (kind, repository_id, name)
    ) STRICT;
    INSERT INTO registry_uncopied (kind, repository_id, name)
      SELECT 'manifest', repository_id, digest FROM registry_manifests;
    INSERT INTO registry_uncopied (kind, repository_id, name)
      SELECT 'tag', repository_id, name FROM registry_tags;
    ${[
      ['manifest', 'INSERT', 'registry_manifests', 'NEW', 'digest'],
      ['manifest', 'UPDATE OF media_type', 'registry_manifests', 'NEW', 'digest'],
      ['manifest', 'DELETE', 'registry_manifests', 'OLD', 'digest'],
      ['tag', 'INSERT', 'registry_tags', 'NEW', 'name'],
      ['tag', 'UPDATE OF manifest_id', 'registry_tags', 'NEW', 'name'],
      ['tag', 'DELETE', 'registry_tags', 'OLD', 'name'],
    ]
      .map(
        ([kind, event, table, row, column]) => `
    CREATE TRIGGER registry_uncopied_${kind}_${event?.slice(0, 6)} AFTER ${event} ON ${table} BEGIN
      INSERT INTO registry_uncopied (kind, repository_id, name) VALUES ('${kind}', ${row}.repository_id, ${row}.${column})
      ON CONFLICT (kind, repository_id, name) DO UPDATE SET version = version + 1;
    END;`,
      )
      .join('')}
    `;

/** Notifications that wait for their endpoint. */
const deliveriesMigration = `
    CREATE TABLE registry_deliveries (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      endpoint TEXT NOT NULL,
      body TEXT NOT NULL,
      created_at INTEGER NOT NULL,
      due_at INTEGER NOT NULL,
      attempts INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX registry_deliveries_due ON registry_deliveries (due_at, id);
    `;

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
    usageMigration,
    reviewMigration,
    pullsMigration,
    copiesMigration,
    deliveriesMigration,
  ],
};
