import { VarveError } from '../base/index.ts';
import { applyMetadata } from '../builder/index.ts';
import { parseTrigger, StageScope } from '../dockerfile/index.ts';
import type { LocalImage } from '../image/index.ts';
import type { ContainerConfig, HistoryEntry, ImageConfig } from '../oci/index.ts';
import { type EngineCore, publishContainer } from './core.ts';
import { runtimeMade } from './filesystem.ts';
import { commandLine } from './settings.ts';
import type { ContainerSettings } from './types.ts';

export interface CommitRequest {
  /** Tag of the new image, `app:1`. */
  readonly reference?: string;
  readonly comment?: string;
  readonly author?: string;
  /** Freeze the container meanwhile. Default true. */
  readonly pause?: boolean;
  /** Dockerfile instructions that change the configuration: `CMD ["a"]`, `ENV A=1`. */
  readonly changes?: readonly string[];
  /** Laid over the container's own configuration. */
  readonly config?: Partial<ContainerSettings>;
  readonly signal?: AbortSignal;
}

const allowedChanges = [
  'CMD',
  'ENTRYPOINT',
  'ENV',
  'EXPOSE',
  'HEALTHCHECK',
  'LABEL',
  'ONBUILD',
  'STOPSIGNAL',
  'USER',
  'VOLUME',
  'WORKDIR',
];

/**
 * Applies `--change` instructions to a configuration.
 * @throws VarveError `invalid` for what is no instruction, or one that is not about configuration.
 */
export function applyChanges(base: ContainerConfig, changes: readonly string[]): ContainerConfig {
  let config = base;
  for (const line of changes.flatMap((change) => change.split('\n'))) {
    if (line.trim() === '') continue;
    const word = (/^\s*(\w+)/.exec(line)?.[1] ?? '').toUpperCase();
    if (!allowedChanges.includes(word)) {
      throw new VarveError('invalid', 'INVALID_CHANGE', `${word || line} is not a valid change command`, {
        subject: line,
      });
    }
    if (word === 'ONBUILD') {
      const trigger = line.trim().replace(/^\S+\s+/, '');
      config = { ...config, OnBuild: [...(config.OnBuild ?? []), trigger] };
      continue;
    }
    const instruction = parseTrigger(line.trim());
    if (instruction.kind === 'WORKDIR') {
      config = { ...config, WorkingDir: instruction.path };
      continue;
    }
    const scope = new StageScope({}, {}, { escape: '\\' });
    scope.inherit(config.Env ?? []);
    const changed = applyMetadata({ config, scope, commandSet: true }, instruction);
    if (changed) config = changed.config;
  }
  return config;
}

/** The part of a container's configuration that its image keeps. */
function imagePart(settings: ContainerSettings): ContainerConfig {
  const {
    Image: _image,
    Hostname: _hostname,
    Domainname: _domainname,
    AttachStdin: _stdin,
    AttachStdout: _stdout,
    AttachStderr: _stderr,
    Tty: _tty,
    OpenStdin: _open,
    StdinOnce: _once,
    NetworkDisabled: _disabled,
    MacAddress: _mac,
    ...config
  } = settings;
  return config;
}

/** Makes an image of a container's changes. @throws VarveError `conflict`, `invalid`. */
export async function commitContainer(
  core: EngineCore,
  nameOrId: string,
  request: CommitRequest = {},
): Promise<LocalImage> {
  const container = core.containers.resolve(nameOrId);
  const { record } = container;
  if (container.removal || ['removing', 'dead'].includes(container.state.status)) {
    throw new VarveError(
      'conflict',
      'REMOVING',
      `You cannot commit container ${record.id} which is being removed`,
    );
  }
  const own = { ...record.config, ...definedOf(request.config ?? {}) };
  const config = applyChanges(imagePart(own), request.changes ?? []);
  const parent = core.images.get(record.imageId);
  if (!parent) {
    throw new VarveError(
      'conflict',
      'IMAGE_GONE',
      `the image ${record.imageId} of container ${record.id} is gone`,
    );
  }
  const freeze = request.pause !== false && container.state.status === 'running';
  const path = core.content.temporaryPath();
  if (freeze) await core.runtime.pause(record.id);
  let blob: Awaited<ReturnType<typeof core.driver.diff>>;
  try {
    blob = await core.driver.diff(record.id, path, 'gzip', {
      exclude: runtimeMade,
      ...(request.signal ? { signal: request.signal } : {}),
    });
  } finally {
    if (freeze) await core.runtime.resume(record.id);
  }
  const layer = await core.images.addLayer(blob, path);
  const created = new Date().toISOString();
  const history: HistoryEntry = {
    created,
    created_by: commandLine(record.config).join(' '),
    ...(request.author ? { author: request.author } : {}),
    ...(request.comment ? { comment: request.comment } : {}),
  };
  const image: ImageConfig = {
    ...parent.config,
    created,
    ...(request.author ? { author: request.author } : {}),
    config,
    rootfs: { type: 'layers', diff_ids: [...parent.config.rootfs.diff_ids, layer.diffId] },
    history: [...(parent.config.history ?? []), history],
  };
  const made = await core.images.create(
    { config: image, parent: parent.id },
    request.reference ? [request.reference] : [],
  );
  publishContainer(core, container, 'commit', {
    comment: request.comment ?? '',
    imageID: made.id,
    imageRef: request.reference ?? '',
  });
  if (request.reference) core.events.publish('image', 'tag', made.id, { name: request.reference });
  return made;
}

function definedOf<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(value).filter(([, inner]) => inner !== undefined && inner !== ''),
  ) as Partial<T>;
}
