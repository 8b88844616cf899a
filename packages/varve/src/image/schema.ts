import type { Schema } from '../state/index.ts';

/** Tables of the image room. Every blob an image needs is listed, so that collection is one query. */
export const imageSchema: Schema = {
  room: 'image',
  migrations: [
    `CREATE TABLE image_images (
       id TEXT PRIMARY KEY,
       config TEXT NOT NULL,              -- descriptor, JSON
       manifest TEXT NOT NULL,            -- descriptor, JSON
       size INTEGER NOT NULL,
       stored_at INTEGER NOT NULL,
       last_tagged_at INTEGER,
       parent TEXT
     ) STRICT;
     CREATE INDEX image_images_parent ON image_images (parent);
     CREATE TABLE image_blobs (
       image TEXT NOT NULL REFERENCES image_images (id) ON DELETE CASCADE,
       digest TEXT NOT NULL,
       PRIMARY KEY (image, digest)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX image_blobs_digest ON image_blobs (digest);
     CREATE TABLE image_tags (
       reference TEXT PRIMARY KEY,        -- canonical, with tag
       image TEXT NOT NULL REFERENCES image_images (id) ON DELETE CASCADE
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX image_tags_image ON image_tags (image);
     CREATE TABLE image_digests (
       reference TEXT NOT NULL,           -- canonical name@digest
       image TEXT NOT NULL REFERENCES image_images (id) ON DELETE CASCADE,
       PRIMARY KEY (reference, image)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX image_digests_image ON image_digests (image);
     CREATE TABLE image_layers (
       diff_id TEXT PRIMARY KEY,
       blob TEXT NOT NULL,                -- descriptor, JSON
       size INTEGER NOT NULL,
       tar_size INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE image_origins (
       digest TEXT NOT NULL,              -- a layer blob
       name TEXT NOT NULL,                -- canonical repository known to hold it
       PRIMARY KEY (digest, name)
     ) STRICT, WITHOUT ROWID;`,
  ],
};
