import { randomUUID } from 'node:crypto';
import { KeyedLock, throwIfAborted } from '../../base/index.ts';
import { type Digest, digestAlgorithm } from '../../oci/index.ts';
import { RegistryError } from '../errors.ts';
import type { BlobRecord, MetadataStore } from '../metadata/index.ts';
import type { Quota, Reservation } from '../quota/index.ts';
import type { RegistryStorage, WriteSession } from '../storage/index.ts';
import { exactly, type UploadBody } from './body.ts';
import { type DigestAlgorithm, RunningHash } from './running-hash.ts';

/** What an upload belongs to; kept with its bytes, so that it can be resumed after a restart or by another node. */
interface UploadNote {
  readonly repository: string;
  /** Who began it, as access control names it; nobody else can go on with it. */
  readonly owner: string;
  readonly algorithm: DigestAlgorithm;
}

interface LiveUpload {
  readonly note: UploadNote;
  readonly session: WriteSession;
  readonly hash: RunningHash;
  readonly reservation: Reservation;
  /** The last request, milliseconds since 1970. */
  touchedAt: number;
  /** The request that is writing now. */
  writer: UploadBody | undefined;
}

// Beyond this the upload longest untouched is forgotten here; it is resumed from storage when it comes back.
const maxLiveUploads = 4096;

const emptyBody: UploadBody = { chunks: (async function* () {})(), stop: () => undefined };

/**
 * Blobs on their way in. The order is what makes a crash harmless: bytes to a file, hash checked, fsync, rename to
 * the content's name, fsync of the folder, then the record; until the record is there, nobody sees the blob.
 */
export class Uploads {
  readonly #storage: RegistryStorage;
  readonly #metadata: MetadataStore;
  readonly #live = new Map<string, LiveUpload>();
  /** Ids of the uploads of one request. */
  readonly #receiving = new Set<string>();
  readonly #turns = new KeyedLock();
  readonly #quota: Quota;
  readonly #cluster: boolean;

  /** @param options.cluster whether the next request of an upload may go to another server. */
  constructor(
    storage: RegistryStorage,
    metadata: MetadataStore,
    quota: Quota,
    options: { readonly cluster?: boolean } = {},
  ) {
    this.#storage = storage;
    this.#metadata = metadata;
    this.#quota = quota;
    this.#cluster = (options.cluster ?? false) && storage.shared;
  }

  /** Opens an upload. @returns its id @throws RegistryError `DENIED` where a quota has nothing left */
  async start(repository: string, owner: string, algorithm: DigestAlgorithm = 'sha256'): Promise<string> {
    const room = this.#quota.reservation(repository);
    await room.atLeast(1);
    room.release();
    const id = randomUUID();
    const note: UploadNote = { repository, owner, algorithm };
    this.#remember(id, note, await this.#storage.create(id, JSON.stringify(note)));
    return id;
  }

  /** Bytes received so far. @throws RegistryError `BLOB_UPLOAD_UNKNOWN` */
  async offset(repository: string, id: string, owner: string): Promise<number> {
    return (await this.#find(repository, id, owner)).session.offset;
  }

  /**
   * Appends a chunk. @returns the bytes received so far, this chunk included
   * @throws RegistryError `BLOB_UPLOAD_UNKNOWN`, `RANGE_INVALID` (416) when the chunk does not begin there.
   */
  async append(repository: string, id: string, owner: string, body: UploadBody): Promise<number> {
    const upload = await this.#find(repository, id, owner);
    return await this.#inTurn(id, upload, body, async () => {
      await this.#receive(upload, body);
      return upload.session.offset;
    });
  }

  /**
   * Takes the last chunk, if any, and makes the blob. A wrong digest ends the upload.
   * @throws RegistryError as {@link append}, and `DIGEST_INVALID`
   */
  async finish(
    repository: string,
    id: string,
    owner: string,
    digest: Digest,
    body: UploadBody = emptyBody,
  ): Promise<BlobRecord> {
    const upload = await this.#find(repository, id, owner);
    return await this.#inTurn(id, upload, body, async () => {
      await this.#receive(upload, body);
      this.#live.delete(id);
      return await this.#commit(repository, upload, digest);
    });
  }

  /** Drops an upload. @throws RegistryError `BLOB_UPLOAD_UNKNOWN` */
  async cancel(repository: string, id: string, owner: string): Promise<void> {
    const upload = await this.#find(repository, id, owner);
    await this.#inTurn(id, upload, emptyBody, async () => {
      this.#forget(id);
      await upload.session.abort();
    });
  }

  /**
   * A whole blob in one request.
   * @param onSession gets the session once the quota has room, for who reads beside the writing
   * @throws RegistryError `DIGEST_INVALID`
   */
  async monolithic(
    repository: string,
    digest: Digest,
    body: UploadBody,
    onSession?: (session: WriteSession) => void,
  ): Promise<BlobRecord> {
    const id = randomUUID();
    this.#receiving.add(id);
    try {
      using reservation = this.#quota.reservation(repository);
      // What is here already costs nothing.
      const known = await this.#metadata.blob(repository, digest);
      if (!known) await reservation.atLeast(body.length ?? 1);
      const session = await this.#storage.create(id);
      onSession?.(session);
      const hash = new RunningHash(digestAlgorithm(digest));
      try {
        const chunks = hash.through(body.chunks);
        await session.append(known ? chunks : reservation.through(chunks, 0), body);
      } catch (error) {
        await session.abort();
        throw error;
      }
      return await this.#commit(repository, { session, hash, reservation }, digest);
    } finally {
      this.#receiving.delete(id);
    }
  }

  /**
   * Drops uploads that nobody touched since `before`, and, of a storage that is ours alone, those that no request can
   * come back to: their one request ended with the server that took it. @returns how many
   */
  async purge(before: number, signal?: AbortSignal): Promise<number> {
    let purged = 0;
    const stored = new Set<string>();
    for await (const { id, updatedAt, resumable } of this.#storage.uploads()) {
      throwIfAborted(signal);
      if (this.#live.has(id)) stored.add(id);
      if (!this.#isAbandoned(id, resumable, updatedAt, before)) continue;
      // In its turn: a request that resumes it meanwhile comes before, and is seen, or after, and finds nothing.
      await this.#turns.run(id, async () => {
        if (!this.#isAbandoned(id, resumable, updatedAt, before)) return;
        this.#forget(id);
        await this.#storage.abandon(id);
        purged++;
      });
    }
    // Opened, and nothing of it stored yet.
    for (const [id, { touchedAt, writer }] of this.#live) {
      if (stored.has(id) || writer || touchedAt >= before) continue;
      this.#forget(id);
      purged++;
    }
    return purged + ((await this.#storage.dropUnfinished?.(before)) ?? 0);
  }

  #isAbandoned(id: string, resumable: boolean, updatedAt: number, before: number): boolean {
    const live = this.#live.get(id);
    if (live?.writer || this.#receiving.has(id)) return false;
    // A listing may miss the note of an upload that is just being opened: such a one is live.
    return !(resumable || live || this.#storage.shared) || updatedAt < before;
  }

  async #find(repository: string, id: string, owner: string): Promise<LiveUpload> {
    const known = this.#cluster ? undefined : this.#live.get(id);
    const live = known ?? (await this.#turns.run(id, () => this.#resume(id)));
    // An upload of another repository, or of somebody else, is as unknown as none: the id is no way around access control.
    // And one that was dropped since the line above must not come back to life.
    const own = live?.note.repository === repository && live.note.owner === owner;
    if (!own || this.#live.get(id) !== live) {
      throw new RegistryError('BLOB_UPLOAD_UNKNOWN', { detail: { id: id.slice(0, 100) } });
    }
    live.touchedAt = Date.now();
    this.#live.delete(id);
    this.#live.set(id, live);
    return live;
  }

  async #resume(id: string): Promise<LiveUpload | undefined> {
    const live = this.#live.get(id);
    if (live && (!this.#cluster || live.writer)) return live;
    const session = await this.#storage.resume(id);
    const note = session && parseNote(session.note);
    if (!session || !note) {
      // Finished or given up at another server.
      this.#forget(id);
      return undefined;
    }
    return this.#remember(id, note, session, live);
  }

  #remember(id: string, note: UploadNote, session: WriteSession, known?: LiveUpload): LiveUpload {
    if (this.#live.size >= maxLiveUploads) {
      for (const [oldest, { writer, session: idle }] of this.#live) {
        if (writer) continue;
        this.#forget(oldest);
        // In its turn: who resumes it comes after.
        void this.#turns.run(oldest, () => idle.close()).catch(() => undefined);
        break;
      }
    }
    const upload = {
      note,
      session,
      // Another server may have written in the place of what this one hashed: then the bytes are read again.
      hash: known && isSame(known.session, session) ? known.hash : new RunningHash(note.algorithm),
      reservation: known?.reservation ?? this.#quota.reservation(note.repository),
      touchedAt: Date.now(),
      writer: undefined,
    };
    this.#live.set(id, upload);
    return upload;
  }

  #forget(id: string): void {
    this.#live.get(id)?.reservation.release();
    this.#live.delete(id);
  }

  /**
   * One request writes at a time. A newer one stops the older: after a broken connection the client is back long
   * before the server's side of the old one times out.
   */
  async #inTurn<T>(id: string, upload: LiveUpload, body: UploadBody, work: () => Promise<T>): Promise<T> {
    upload.writer?.stop(new RegistryError('BLOB_UPLOAD_INVALID', { message: 'a newer request took over' }));
    upload.writer = body;
    return await this.#turns.run(id, async () => {
      if (this.#live.get(id) !== upload) throw new RegistryError('BLOB_UPLOAD_UNKNOWN', { detail: { id } });
      try {
        return await work();
      } finally {
        await upload.session.close();
        if (upload.writer === body) upload.writer = undefined;
      }
    });
  }

  async #receive(upload: LiveUpload, body: UploadBody): Promise<void> {
    const { session, hash, reservation } = upload;
    if (body.range && body.range.start !== session.offset) {
      throw new RegistryError('RANGE_INVALID', {
        detail: { start: body.range.start, expected: session.offset },
        data: { offset: session.offset },
      });
    }
    await hash.catchUp(session);
    const length = body.range && body.range.end - body.range.start + 1;
    const start = session.offset;
    await reservation.atLeast(start + (length ?? body.length ?? 0));
    const chunks = length === undefined ? body.chunks : exactly(body.chunks, length);
    await session.append(reservation.through(hash.through(chunks), start), body);
  }

  async #commit(
    repository: string,
    { session, hash, reservation }: Pick<LiveUpload, 'session' | 'hash' | 'reservation'>,
    digest: Digest,
  ): Promise<BlobRecord> {
    const size = session.offset;
    try {
      if (!(await hash.matches(session, digest))) {
        throw new RegistryError('DIGEST_INVALID', { detail: { digest, size } });
      }
      await this.#metadata.inBlobTurn(digest, async () => {
        await session.commit(digest);
        await this.#metadata.addBlob(repository, { digest, size }, { limits: reservation.limits });
      });
    } catch (error) {
      // After a failed fsync the pages may be lost and marked clean: these bytes are not tried again (fsync(2)).
      await session.abort().catch(() => undefined);
      throw error;
    } finally {
      reservation.release();
    }
    return { digest, size };
  }
}

function isSame(known: WriteSession, resumed: WriteSession): boolean {
  return known.version !== undefined && known.version === resumed.version;
}

function parseNote(text: string): UploadNote | undefined {
  try {
    const note = JSON.parse(text) as Partial<UploadNote>;
    // One of an earlier version, which had no access control.
    const { repository, owner = 'anonymous', algorithm } = note;
    if (typeof repository !== 'string' || (algorithm !== 'sha256' && algorithm !== 'sha512'))
      return undefined;
    return typeof owner === 'string' ? { repository, owner, algorithm } : undefined;
  } catch {
    // A note cut short by a power loss: the upload is as good as gone, and purged with the others.
    return undefined;
  }
}
