import { isKind, VarveError } from '../../base/index.ts';
import type { Digest } from '../../oci/index.ts';
import { RegistryError } from '../errors.ts';
import type { OpenBlob, RegistryStorage } from '../storage/index.ts';
import type { Exchange, HeaderList } from './exchange.ts';

// A blob of this size is read at once and sent with its head.
const smallBytes = 16 * 1024;

/**
 * Answers with the bytes from `start` to `end` of a blob that the records have.
 * @throws RegistryError `BLOB_UNKNOWN` when storage has it not
 * @throws VarveError `data-loss` when storage has less of it
 */
export async function sendStoredBlob(
  exchange: Exchange,
  storage: RegistryStorage,
  digest: Digest,
  {
    status,
    headers,
    start,
    end,
  }: {
    readonly status: number;
    readonly headers: HeaderList;
    readonly start: number;
    readonly end: number;
  },
): Promise<void> {
  const length = end - start;
  // Behind an answer that is still being sent on its connection, only a stream knows when its turn comes.
  if (storage.open && exchange.response.socket) {
    const blob = await storage.open(digest).catch((cause: unknown) => notStored(digest, cause));
    try {
      if (length > smallBytes) await exchange.sendFile(status, headers, blob, { start, end });
      else exchange.send(status, headers, await readSmall(blob, start, length));
    } finally {
      await blob.close();
    }
    return;
  }
  const source = await storage
    .read(digest, { start, end })
    .catch((cause: unknown) => notStored(digest, cause));
  if (length > smallBytes) return await exchange.stream(status, headers, length, source);
  const chunks: Buffer[] = [];
  for await (const chunk of source) chunks.push(chunk as Buffer);
  exchange.send(status, headers, whole(Buffer.concat(chunks), length));
}

async function readSmall(blob: OpenBlob, start: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const count = await blob.read(bytes.subarray(filled), start + filled);
    if (count === 0) break;
    filled += count;
  }
  return whole(bytes.subarray(0, filled), length);
}

function whole(bytes: Buffer, length: number): Buffer {
  if (bytes.length === length) return bytes;
  throw new VarveError('data-loss', 'SIZE_MISMATCH', `storage has ${bytes.length} bytes of ${length}`);
}

/** The records say that it is here: whoever runs the registry has to know (the log does, for the cause). */
function notStored(digest: Digest, cause: unknown): never {
  if (isKind(cause, 'not-found')) throw new RegistryError('BLOB_UNKNOWN', { detail: { digest }, cause });
  throw cause;
}
