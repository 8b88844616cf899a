import { isKind, VarveError } from '../base/index.ts';
import type { LocalImage, TransferEvent } from '../image/index.ts';
import {
  type ChainID,
  familiarReference,
  matchesPlatform,
  type Platform,
  parseReference,
  withDefaultTag,
} from '../oci/index.ts';
import type { Session } from './session.ts';

function findLocal(session: Session, name: string): LocalImage | undefined {
  try {
    return session.options.images.resolve(name);
  } catch (error) {
    if (isKind(error, 'not-found') || isKind(error, 'invalid')) return undefined;
    throw error;
  }
}

/**
 * Finds the image that a FROM or `--from` names: here, unless the build asks for a pull or the platform is another,
 * else from its registry. The network is not touched for an image that is here.
 * @throws VarveError of the image store, when it is nowhere.
 */
export async function findImage(
  session: Session,
  name: string,
  platform: Platform | undefined,
): Promise<LocalImage> {
  const { request, options, signal } = session;
  const local = findLocal(session, name);
  const fits = local !== undefined && (platform === undefined || matchesPlatform(platform, local.config));
  // What is named by its id alone can only be here.
  if (local && fits && (!request.pull || local.id.includes(name.replace(/^sha256:/, '')))) return local;
  const reference = withDefaultTag(parseReference(name));
  const credentials = await request.credentials?.(reference.domain);
  const shown = familiarReference(reference);
  const onEvent = (event: TransferEvent): void => {
    if (event.type === 'resolved') session.emit({ type: 'status', text: `Pulling ${shown}` });
    if (event.type !== 'done') return;
    session.emit({ type: 'status', text: `Digest: ${event.digest}` });
    const what = event.unchanged ? 'Image is up to date for' : 'Downloaded newer image for';
    session.emit({ type: 'status', text: `Status: ${what} ${shown}` });
  };
  const image = await options.images.pull(name, {
    onEvent,
    ...(signal === undefined ? {} : { signal }),
    ...(platform === undefined ? {} : { platform }),
    ...(credentials === undefined ? {} : { credentials }),
  });
  if (platform !== undefined && !matchesPlatform(platform, image.config)) {
    throw new VarveError(
      'not-found',
      'NO_MATCHING_PLATFORM',
      `image ${shown} has no variant for this platform`,
      {
        subject: shown,
      },
    );
  }
  return image;
}

/** The snapshot with all layers of an image, unpacked now if it was not. */
export function unpacked(session: Session, image: LocalImage): Promise<ChainID | undefined> {
  const { options, signal } = session;
  return options.images.unpack(image, signal === undefined ? {} : { signal });
}
