import type { Digest } from '../../oci/index.ts';
import { subjectOf } from '../auth/index.ts';
import { RegistryError } from '../errors.ts';
import { checkDigest, checkRepositoryName, isRepositoryName } from '../names.ts';
import { type DigestAlgorithm, parseContentRange, type UploadBody } from '../uploads/index.ts';
import { freeChunk } from './body-chunks.ts';
import type { Exchange } from './exchange.ts';
import type { Handler, Services } from './services.ts';

// An anonymous mount looks for a repository that the client may read among this many.
const maxMountCandidates = 100;

/** POST: opens an upload, takes a whole blob (`digest`), or mounts one (`mount`). spec.md#pushing-blobs. */
export const startUpload: Handler = async (exchange, services) => {
  const { name } = exchange.route;
  const { query } = exchange;
  const mount = query.get('mount');
  if (mount !== null && (await tryMount(exchange, services, checkDigest(mount)))) return;
  const digest = query.get('digest');
  if (digest !== null) {
    const blob = await services.uploads.monolithic(name, checkDigest(digest), uploadBody(exchange));
    return sendCreated(exchange, blob.digest);
  }
  const id = await services.uploads.start(
    name,
    ownerOf(exchange),
    readAlgorithm(query.get('digest-algorithm')),
  );
  exchange.send(202, progress(name, id, 0));
};

/** PATCH: appends a chunk. */
export const appendUpload: Handler = async (exchange, { uploads }) => {
  const { name, reference: id } = exchange.route;
  const offset = await withRange(name, id, () =>
    uploads.append(name, id, ownerOf(exchange), uploadBody(exchange)),
  );
  exchange.send(202, progress(name, id, offset));
};

/** PUT: takes the last chunk, if any, and closes the upload. */
export const finishUpload: Handler = async (exchange, { uploads }) => {
  const { name, reference: id } = exchange.route;
  const digest = checkDigest(exchange.query.get('digest'));
  const blob = await withRange(name, id, () =>
    uploads.finish(name, id, ownerOf(exchange), digest, uploadBody(exchange)),
  );
  sendCreated(exchange, blob.digest);
};

/** GET: how much has arrived. */
export const uploadStatus: Handler = async (exchange, { uploads }) => {
  const { name, reference: id } = exchange.route;
  exchange.send(204, progress(name, id, await uploads.offset(name, id, ownerOf(exchange))));
};

/** DELETE: gives the upload up. */
export const cancelUpload: Handler = async (exchange, { uploads }) => {
  const { name, reference: id } = exchange.route;
  await uploads.cancel(name, id, ownerOf(exchange));
  exchange.send(204, ['Docker-Upload-UUID', id]);
};

async function tryMount(exchange: Exchange, { metadata, quota }: Services, digest: Digest): Promise<boolean> {
  const { name } = exchange.route;
  const from = exchange.query.get('from');
  if (from !== null) checkRepositoryName(from);
  const candidates =
    from === null
      ? await metadata.repositoriesOfBlob(digest, maxMountCandidates)
      : (await metadata.blob(from, digest))
        ? [from]
        : [];
  for (const candidate of candidates) {
    // Refused is told apart from absent to nobody: the client uploads as if the blob were not there.
    if (
      !isRepositoryName(candidate) ||
      !(await exchange.may({ type: 'repository', name: candidate }, 'pull'))
    )
      continue;
    if (!(await metadata.linkBlob(name, digest, { limits: quota.limitsOf(name) }))) return false;
    sendCreated(exchange, digest);
    return true;
  }
  return false;
}

/** An upload belongs to who began it; in an open registry everyone is the same. */
function ownerOf(exchange: Exchange): string {
  return subjectOf(exchange.identity);
}

function readAlgorithm(text: string | null): DigestAlgorithm {
  if (text === null || text === 'sha256' || text === 'sha512') return text ?? 'sha256';
  throw new RegistryError('DIGEST_INVALID', {
    message: 'unsupported digest algorithm',
    detail: { algorithm: text.slice(0, 100) },
  });
}

function uploadBody(exchange: Exchange): UploadBody {
  const { request } = exchange;
  const contentLength = exchange.header('content-length');
  const range = parseContentRange(exchange.header('content-range'), contentLength);
  return {
    chunks: { [Symbol.asyncIterator]: () => exchange.body()[Symbol.asyncIterator]() },
    release: freeChunk,
    range,
    length: contentLength === undefined ? undefined : Number(contentLength),
    stop: (reason) => void request.destroy(reason),
  };
}

/** Adds to a 416 where the client has to go on. */
async function withRange<T>(name: string, id: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    const offset = error.data?.['offset'];
    if (typeof offset !== 'number') throw error;
    const { details } = error;
    throw new RegistryError('RANGE_INVALID', { details, headers: progressHeaders(name, id, offset) });
  }
}

function progressHeaders(name: string, id: string, offset: number): Record<string, string> {
  return {
    Location: `/v2/${name}/blobs/uploads/${id}`,
    // Inclusive; docker/distribution says 0-0 for nothing, too, and clients count on it.
    Range: `0-${Math.max(0, offset - 1)}`,
    'Docker-Upload-UUID': id,
  };
}

function progress(name: string, id: string, offset: number): string[] {
  return Object.entries(progressHeaders(name, id, offset)).flat();
}

function sendCreated(exchange: Exchange, digest: Digest): void {
  exchange.send(201, [
    'Location',
    `/v2/${exchange.route.name}/blobs/${digest}`,
    'Docker-Content-Digest',
    digest,
  ]);
}
