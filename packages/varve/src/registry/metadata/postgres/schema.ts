const nowMs = `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`;

/** A trigger of a statement or two, in PL/pgSQL. */
function trigger(name: string, event: string, statements: string, when = ''): string {
  return `
    CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      ${statements}
      RETURN NULL;
    END $$;
    CREATE TRIGGER ${name} ${event} FOR EACH ROW ${when} EXECUTE FUNCTION ${name}();`;
}

function bill(sign: '+' | '-', row: 'NEW' | 'OLD', bytes: string): string {
  return `UPDATE registry_repositories SET used_bytes = used_bytes ${sign} ${bytes} WHERE id = ${row}.repository_id;`;
}

function blobSize(row: 'NEW' | 'OLD'): string {
  return `coalesce((SELECT size FROM registry_blobs WHERE id = ${row}.blob_id), 0)`;
}

function review(values: string, conflict: 'NOTHING' | 'UPDATE SET since = excluded.since'): string {
  return `INSERT INTO registry_review (kind, repository_id, subject_id, since) ${values}
      ON CONFLICT (kind, repository_id, subject_id) DO ${conflict};`;
}

/** Triggers that note that a row's copy in storage is not what is here. */
function uncopied(kind: string, table: string, column: string, changing: string): string[] {
  const note = (row: string): string =>
    `INSERT INTO registry_uncopied (kind, repository_id, name) VALUES ('${kind}', ${row}.repository_id, ${row}.${column})
      ON CONFLICT (kind, repository_id, name) DO UPDATE SET version = registry_uncopied.version + 1;`;
  return [
    trigger(`registry_uncopied_${kind}_made`, `AFTER INSERT ON ${table}`, note('NEW')),
    trigger(`registry_uncopied_${kind}_changed`, `AFTER UPDATE OF ${changing} ON ${table}`, note('NEW')),
    trigger(`registry_uncopied_${kind}_removed`, `AFTER DELETE ON ${table}`, note('OLD')),
  ];
}

const later = 'UPDATE SET since = excluded.since';

/**
 * The tables of ../schema.ts for PostgreSQL, with the same triggers: what a repository is billed for, and what the collector
 * has to look at. Names order by their bytes (collation C). Never edit one that has shipped; append.
 */
export const migrations: readonly string[] = [
  `
    CREATE TABLE registry_repositories (
      id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      name TEXT COLLATE "C" NOT NULL UNIQUE,
      created_at BIGINT NOT NULL,
      used_bytes BIGINT NOT NULL DEFAULT 0
    );
    CREATE TABLE registry_blobs (
      id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      digest TEXT COLLATE "C" NOT NULL UNIQUE,
      size BIGINT,
      stored_at BIGINT,
      damaged_at BIGINT,
      used_at BIGINT
    );
    CREATE TABLE registry_blob_links (
      repository_id BIGINT NOT NULL REFERENCES registry_repositories (id),
      blob_id BIGINT NOT NULL REFERENCES registry_blobs (id),
      linked_at BIGINT NOT NULL,
      PRIMARY KEY (repository_id, blob_id)
    );
    CREATE INDEX registry_blob_links_blob ON registry_blob_links (blob_id);
    CREATE TABLE registry_manifests (
      id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      repository_id BIGINT NOT NULL REFERENCES registry_repositories (id),
      digest TEXT COLLATE "C" NOT NULL,
      media_type TEXT NOT NULL,
      size BIGINT NOT NULL,
      pushed_at BIGINT NOT NULL,
      subject TEXT COLLATE "C",
      artifact_type TEXT,
      annotations TEXT,
      content BYTEA NOT NULL,
      UNIQUE (repository_id, digest)
    );
    CREATE INDEX registry_manifests_subject ON registry_manifests (repository_id, subject, digest)
      WHERE subject IS NOT NULL;
    CREATE TABLE registry_tags (
      repository_id BIGINT NOT NULL REFERENCES registry_repositories (id),
      name TEXT COLLATE "C" NOT NULL,
      manifest_id BIGINT NOT NULL REFERENCES registry_manifests (id) ON DELETE CASCADE,
      updated_at BIGINT NOT NULL,
      pulled_at BIGINT,
      PRIMARY KEY (repository_id, name)
    );
    CREATE INDEX registry_tags_manifest ON registry_tags (manifest_id);
    CREATE TABLE registry_manifest_blobs (
      manifest_id BIGINT NOT NULL REFERENCES registry_manifests (id) ON DELETE CASCADE,
      blob_id BIGINT NOT NULL REFERENCES registry_blobs (id),
      repository_id BIGINT NOT NULL,
      PRIMARY KEY (manifest_id, blob_id)
    );
    CREATE INDEX registry_manifest_blobs_blob ON registry_manifest_blobs (blob_id, repository_id);
    CREATE TABLE registry_manifest_children (
      manifest_id BIGINT NOT NULL REFERENCES registry_manifests (id) ON DELETE CASCADE,
      child TEXT COLLATE "C" NOT NULL,
      repository_id BIGINT NOT NULL,
      PRIMARY KEY (manifest_id, child)
    );
    CREATE INDEX registry_manifest_children_child ON registry_manifest_children (repository_id, child);
    CREATE TABLE registry_review (
      id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      kind TEXT NOT NULL,
      repository_id BIGINT NOT NULL,
      subject_id BIGINT NOT NULL,
      since BIGINT NOT NULL,
      UNIQUE (kind, repository_id, subject_id)
    );
    CREATE INDEX registry_review_kind ON registry_review (kind, id);
    CREATE TABLE registry_uncopied (
      id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      kind TEXT NOT NULL,
      repository_id BIGINT NOT NULL,
      name TEXT COLLATE "C" NOT NULL,
      version BIGINT NOT NULL DEFAULT 1,
      UNIQUE (kind, repository_id, name)
    );
    CREATE TABLE registry_deliveries (
      id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      endpoint TEXT NOT NULL,
      body TEXT NOT NULL,
      created_at BIGINT NOT NULL,
      due_at BIGINT NOT NULL,
      attempts BIGINT NOT NULL DEFAULT 0
    );
    CREATE INDEX registry_deliveries_due ON registry_deliveries (due_at, id);
    CREATE TABLE registry_robots (
      name TEXT COLLATE "C" PRIMARY KEY,
      secret_hash TEXT NOT NULL,
      grants TEXT NOT NULL,
      description TEXT,
      created_at BIGINT NOT NULL,
      expires_at BIGINT
    );
    ${[
      trigger(
        'registry_link_made',
        'AFTER INSERT ON registry_blob_links',
        bill('+', 'NEW', blobSize('NEW')) +
          review(`VALUES ('link', NEW.repository_id, NEW.blob_id, NEW.linked_at)`, later),
      ),
      trigger(
        'registry_link_removed',
        'AFTER DELETE ON registry_blob_links',
        bill('-', 'OLD', blobSize('OLD')) + review(`VALUES ('blob', 0, OLD.blob_id, 0)`, 'NOTHING'),
      ),
      trigger(
        'registry_manifest_made',
        'AFTER INSERT ON registry_manifests',
        bill('+', 'NEW', 'NEW.size') +
          review(`VALUES ('manifest', NEW.repository_id, NEW.id, NEW.pushed_at)`, later),
      ),
      trigger(
        'registry_manifest_removed',
        'AFTER DELETE ON registry_manifests',
        bill('-', 'OLD', 'OLD.size') +
          review(
            `SELECT 'manifest', repository_id, id, 0 FROM registry_manifests
             WHERE repository_id = OLD.repository_id AND subject = OLD.digest`,
            'NOTHING',
          ),
      ),
      trigger(
        'registry_blob_unnamed',
        'AFTER DELETE ON registry_manifest_blobs',
        review(`VALUES ('link', OLD.repository_id, OLD.blob_id, 0)`, 'NOTHING'),
      ),
      trigger(
        'registry_manifest_untagged',
        'AFTER DELETE ON registry_tags',
        review(`VALUES ('manifest', OLD.repository_id, OLD.manifest_id, ${nowMs})`, later),
      ),
      trigger(
        'registry_manifest_retagged',
        'AFTER UPDATE ON registry_tags',
        review(`VALUES ('manifest', OLD.repository_id, OLD.manifest_id, ${nowMs})`, later),
        'WHEN (NEW.manifest_id <> OLD.manifest_id)',
      ),
      trigger(
        'registry_child_orphaned',
        'AFTER DELETE ON registry_manifest_children',
        review(
          `SELECT 'manifest', OLD.repository_id, id, 0 FROM registry_manifests
           WHERE repository_id = OLD.repository_id AND digest = OLD.child`,
          'NOTHING',
        ),
      ),
      ...uncopied('manifest', 'registry_manifests', 'digest', 'media_type'),
      ...uncopied('tag', 'registry_tags', 'name', 'manifest_id'),
    ].join('')}
  `,
  `
    CREATE TABLE registry_logouts (
      session TEXT COLLATE "C" PRIMARY KEY,
      expires_at BIGINT NOT NULL
    );
    CREATE INDEX registry_logouts_expiry ON registry_logouts (expires_at);
  `,
];
