import { mkdirSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { parseBytes, randomId, VarveError } from '../base/index.ts';
import type { LocalImage } from '../image/index.ts';
import { checkRequest } from '../runtime/index.ts';
import { type EngineCore, publishContainer } from './core.ts';
import { extraHosts, linkedContainer } from './etc-files.ts';
import { containerFolder } from './folders.ts';
import { completeHostConfig } from './host-config.ts';
import { wantedMounts } from './mount-requests.ts';
import { inheritedMounts, nameVolumes, newVolumes, resolveMounts } from './mounts.ts';
import { parseContainerName, randomName } from './names.ts';
import { requestedNetworks } from './network-settings.ts';
import { parsePort, wantedPorts } from './ports.ts';
import { mergeSettings } from './settings.ts';
import { ulimitsOf } from './runtime-spec.ts';
import { parseSignal } from './signals.ts';
import { now } from './time.ts';
import { type ContainerRecord, type CreateRequest, type HostConfig, neverStarted } from './types.ts';

export interface CreateResult {
  readonly id: string;
  readonly warnings: readonly string[];
}

function checkPlatform(image: LocalImage, reference: string, wanted: string | undefined): void {
  if (!wanted) return;
  const [os, architecture, variant] = wanted.split('/') as [string, string?, string?];
  const { config } = image;
  const same =
    os === config.os &&
    (architecture === undefined || architecture === config.architecture) &&
    (variant === undefined || config.variant === undefined || variant === config.variant);
  if (same) return;
  throw new VarveError(
    'not-found',
    'PLATFORM_MISMATCH',
    `image with reference ${reference} was found but does not provide the specified platform (${wanted})`,
    { subject: reference },
  );
}

function checkModes(request: CreateRequest, host: HostConfig): void {
  const conflict = (what: string): VarveError =>
    new VarveError('invalid', 'CONFLICTING_OPTIONS', `conflicting options: ${what}`);
  const { NetworkMode: mode } = host;
  if (mode.startsWith('container:')) {
    if (request.config.Hostname) throw conflict('hostname and the network mode');
    if (Object.keys(host.PortBindings).length > 0 || host.PublishAllPorts) {
      throw conflict('port publishing and the container type network mode');
    }
    if (Object.keys(request.config.ExposedPorts ?? {}).length > 0) {
      throw conflict('port exposing and the container type network mode');
    }
  }
  if (host.UTSMode === 'host' && request.config.Hostname) throw conflict('hostname and the UTS mode');
}

const logDrivers = ['json-file', 'local', 'none'];
/** Options that moby's drivers of these names know. */
const logOptions =
  'max-size max-file compress labels labels-regex env env-regex tag mode max-buffer-size'.split(' ');

/** Refuses what would be quietly left out. */
function checkSupported(core: EngineCore, host: HostConfig): void {
  const refuse = (code: string, message: string): VarveError => new VarveError('invalid', code, message);
  const runtimes = [core.runtime.name, 'runc', 'io.containerd.runc.v2'];
  if (!runtimes.includes(host.Runtime)) {
    throw refuse('UNKNOWN_RUNTIME', `unknown or invalid runtime name: ${host.Runtime}`);
  }
  if (!logDrivers.includes(host.LogConfig.Type)) {
    throw refuse('UNKNOWN_LOG_DRIVER', `logger: no log driver named '${host.LogConfig.Type}' is registered`);
  }
  for (const [option, value] of Object.entries(host.LogConfig.Config)) {
    if (!logOptions.includes(option)) {
      throw refuse('UNKNOWN_LOG_OPT', `unknown log opt '${option}' for ${host.LogConfig.Type} log driver`);
    }
    if (option === 'max-size' && value !== '-1') parseBytes(value);
  }
  if (host.DeviceRequests?.length) {
    const [{ Driver = '', Capabilities } = {}] = host.DeviceRequests;
    throw refuse(
      'NO_DEVICE_DRIVER',
      `could not select device driver "${Driver}" with capabilities: ${JSON.stringify(Capabilities ?? [])}`,
    );
  }
  storageSize(core, host);
  for (const link of host.Links ?? []) linkedContainer(core, link);
  extraHosts(core, host.ExtraHosts ?? []);
  checkRequest({
    capAdd: host.CapAdd ?? [],
    capDrop: host.CapDrop ?? [],
    privileged: host.Privileged,
    securityOpt: host.SecurityOpt ?? [],
    ulimits: ulimitsOf(host),
  });
}

/** Bytes that the container may write: what it asks for, else what the driver gives to each. */
function storageSize({ driver }: EngineCore, { StorageOpt }: HostConfig): number | undefined {
  let size = driver.defaultSize;
  for (const [key, value] of Object.entries(StorageOpt ?? {})) {
    if (key.toLowerCase() !== 'size') {
      throw new VarveError('invalid', 'UNKNOWN_STORAGE_OPT', `unknown storage option: ${key}`, {
        subject: key,
        hint: 'a container knows one: size',
      });
    }
    size = parseBytes(value);
  }
  return size;
}

/**
 * Makes a container: record, snapshot, volumes; nothing runs yet. Nothing is left of one that fails.
 * @throws VarveError `not-found` for the image, `conflict` for the name, `invalid` for the request.
 */
export async function createContainer(core: EngineCore, request: CreateRequest): Promise<CreateResult> {
  const id = randomId();
  const name =
    request.name === undefined || request.name === ''
      ? randomName((candidate) => core.containers.nameTaken(candidate))
      : parseContainerName(request.name);
  const reference = request.config.Image ?? '';
  if (reference === '') throw new VarveError('invalid', 'NO_IMAGE', 'no image specified');
  const image = core.images.resolve(reference);
  checkPlatform(image, reference, request.platform);
  const host = completeHostConfig(request.hostConfig ?? {});
  checkModes(request, host);
  checkSupported(core, host);
  const settings = mergeSettings(image.config.config ?? {}, request.config, id);
  const config =
    host.NetworkMode === 'host' && !request.config.Hostname
      ? { ...settings, Hostname: hostname() }
      : settings;
  if (config.StopSignal) parseSignal(config.StopSignal);
  for (const port of Object.keys(config.ExposedPorts ?? {})) parsePort(port);
  wantedPorts(config, host);
  const networks = requestedNetworks(core, host.NetworkMode, request.endpoints ?? {}, config);
  const wanted = nameVolumes(wantedMounts(config, host, inheritedMounts(core, host.VolumesFrom ?? [])));
  using _name = core.containers.reserve(name);
  const made: string[] = [];
  const folder = containerFolder(core, id);
  try {
    const top = await core.images.unpack(image);
    const size = storageSize(core, host);
    await core.driver.prepare(id, top, size === undefined ? {} : { size });
    core.containers.intendVolumes(id, newVolumes(core, wanted));
    const mounts = await resolveMounts(core, wanted, made);
    mkdirSync(folder, { recursive: true, mode: 0o710 });
    const record: ContainerRecord = {
      id,
      name,
      createdAt: now(),
      generation: 1,
      imageId: image.id,
      platform: image.config.os,
      config,
      hostConfig: host,
      mounts,
      networks,
      ports: {},
      state: neverStarted,
      restartCount: 0,
      manuallyStopped: false,
      bootId: '',
    };
    // A container that removes itself is not worth a flush: after a loss of power it is removed anyway.
    const container = core.containers.add(record, host.AutoRemove ? 'process' : 'power');
    publishContainer(core, container, 'create');
    return { id, warnings: [] };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    await core.driver.remove(id);
    for (const volume of made) await core.volumes.remove(volume, { force: true });
    core.containers.intendVolumes(id, []);
    throw error;
  }
}
