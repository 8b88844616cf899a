import { Readable } from 'node:stream';
import type { Digest } from '../../oci/index.ts';
import type { BlobRecord } from '../metadata/index.ts';
import type { RegistryStorage, WriteSession } from '../storage/index.ts';

/** A blob that is being fetched and stored, and can be read meanwhile. */
export class ArrivingBlob implements BlobRecord {
  readonly digest: Digest;
  readonly size: number;
  /** When it is here, whole and of the right digest; rejects when it is not to be had. */
  readonly stored: Promise<unknown>;
  readonly #session: WriteSession;
  readonly #storage: Pick<RegistryStorage, 'read'>;

  constructor(
    { digest, size }: BlobRecord,
    parts: {
      readonly stored: Promise<unknown>;
      readonly session: WriteSession;
      readonly storage: Pick<RegistryStorage, 'read'>;
    },
  ) {
    this.digest = digest;
    this.size = size;
    this.stored = parts.stored;
    this.#session = parts.session;
    this.#storage = parts.storage;
  }

  /**
   * Its bytes from `start` to the end, as they come. The last one is given only when the blob is stored: who was told the
   * size never takes for whole what turns out to be something else.
   * @throws what storing it failed with
   */
  read(start: number): Readable {
    return Readable.from(this.#bytes(start), { objectMode: false });
  }

  async *#bytes(start: number): AsyncGenerator<Uint8Array, void, void> {
    const last = this.size - 1;
    let position = start;
    let lastByte: Uint8Array | undefined;
    for await (const chunk of this.#session.follow?.(start) ?? []) {
      const room = last - position;
      const given = chunk.subarray(0, room);
      position += given.length;
      if (given.length > 0) yield given;
      if (chunk.length <= room) continue;
      lastByte = chunk.slice(room, room + 1);
      break;
    }
    await this.stored;
    if (lastByte) yield lastByte;
    else
      yield* (await this.#storage.read(this.digest, {
        start: position,
        end: this.size,
      })) as AsyncIterable<Uint8Array>;
  }
}
