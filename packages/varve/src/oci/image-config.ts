import { isDigest } from './digest.ts';
import {
  compact,
  DocumentFault,
  optionalString,
  optionalStringMap,
  optionalStrings,
  readObject,
  requiredString,
} from './document-reader.ts';
import { isJsonObject, type JsonObject } from './json.ts';
import { layerCountLimit } from './manifest.ts';
import type { ContainerConfig, DiffID, Healthcheck, HistoryEntry, ImageConfig } from './types.ts';

/** Largest image config accepted. */
export const configSizeLimit = 8 * 1024 * 1024;

const fault = new DocumentFault('CONFIG_INVALID', 'image config');

/** An exec-form member; Docker's own decoder also takes one string for a list of one (moby `strslice`). */
function words(object: JsonObject, key: string): readonly string[] | null | undefined {
  const value = object[key];
  if (value === null) return null;
  return typeof value === 'string' ? [value] : optionalStrings(object, key, fault);
}

function keySet(
  object: JsonObject,
  key: string,
): Readonly<Record<string, Record<string, never>>> | undefined {
  const value = object[key];
  if (value === undefined || value === null) return undefined;
  if (!isJsonObject(value)) throw fault.error(`"${key}" is not an object`);
  return Object.fromEntries(Object.keys(value).map((name) => [name, {}]));
}

function optionalNumber(object: JsonObject, key: string): number | undefined {
  const value = object[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number') throw fault.error(`"${key}" is not a number`);
  return value;
}

function parseHealthcheck(value: unknown): Healthcheck | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isJsonObject(value)) throw fault.error('"Healthcheck" is not an object');
  return compact<Healthcheck>({
    Test: optionalStrings(value, 'Test', fault),
    Interval: optionalNumber(value, 'Interval'),
    Timeout: optionalNumber(value, 'Timeout'),
    StartPeriod: optionalNumber(value, 'StartPeriod'),
    StartInterval: optionalNumber(value, 'StartInterval'),
    Retries: optionalNumber(value, 'Retries'),
  });
}

/**
 * Checks the `config` member of an image: types, and no NUL in what the kernel is to see. What the values mean
 * (paths, users) is checked where they are used.
 * @throws VarveError `invalid`, code `CONFIG_INVALID`.
 */
export function parseContainerConfig(value: unknown): ContainerConfig | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isJsonObject(value)) throw fault.error('"config" is not an object');
  const config = compact<ContainerConfig>({
    User: optionalString(value, 'User', fault),
    ExposedPorts: keySet(value, 'ExposedPorts'),
    Env: optionalStrings(value, 'Env', fault),
    Entrypoint: words(value, 'Entrypoint'),
    Cmd: words(value, 'Cmd'),
    Volumes: keySet(value, 'Volumes'),
    WorkingDir: optionalString(value, 'WorkingDir', fault),
    Labels: optionalStringMap(value, 'Labels', fault),
    StopSignal: optionalString(value, 'StopSignal', fault),
    StopTimeout: optionalNumber(value, 'StopTimeout'),
    ArgsEscaped: typeof value['ArgsEscaped'] === 'boolean' ? value['ArgsEscaped'] : undefined,
    Healthcheck: parseHealthcheck(value['Healthcheck']),
    OnBuild: optionalStrings(value, 'OnBuild', fault),
    Shell: optionalStrings(value, 'Shell', fault),
  });
  const seen = [
    config.User,
    config.WorkingDir,
    ...(config.Env ?? []),
    ...(config.Entrypoint ?? []),
    ...(config.Cmd ?? []),
  ];
  if ([...seen, ...Object.keys(config.Volumes ?? {})].some((text) => text?.includes('\0'))) {
    throw fault.error('a string holds a NUL character');
  }
  return config;
}

function parseHistory(value: unknown): readonly HistoryEntry[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value)) throw fault.error('"history" is not a list');
  return value.map((item: unknown) => {
    if (!isJsonObject(item)) throw fault.error('"history" holds what is not an object');
    return compact<HistoryEntry>({
      created: optionalString(item, 'created', fault),
      created_by: optionalString(item, 'created_by', fault),
      author: optionalString(item, 'author', fault),
      comment: optionalString(item, 'comment', fault),
      empty_layer: typeof item['empty_layer'] === 'boolean' ? item['empty_layer'] : undefined,
    });
  });
}

function parseDiffIds(value: unknown): readonly DiffID[] {
  if (!isJsonObject(value) || value['type'] !== 'layers')
    throw fault.error('"rootfs" is missing or not of type "layers"');
  const diffIds = optionalStrings(value, 'diff_ids', fault) ?? [];
  if (diffIds.length > layerCountLimit)
    throw fault.error(`it has ${diffIds.length} layers, the limit is ${layerCountLimit}`);
  for (const diffId of diffIds) {
    if (!isDigest(diffId))
      throw fault.error(`invalid digest in "diff_ids": ${JSON.stringify(diffId.slice(0, 200))}`);
  }
  return diffIds as readonly DiffID[];
}

/**
 * Reads an image's JSON. OCI image spec, config.md. Members that are JSON null, as Docker writes many, are left
 * out; unknown ones are not kept: whoever stores the image keeps the bytes.
 * @throws VarveError `invalid` or `too-large`, code `CONFIG_INVALID`.
 */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  const body = readObject(bytes, configSizeLimit, fault);
  return compact<ImageConfig>({
    created: optionalString(body, 'created', fault),
    author: optionalString(body, 'author', fault),
    architecture: requiredString(body, 'architecture', fault),
    os: requiredString(body, 'os', fault),
    'os.version': optionalString(body, 'os.version', fault),
    'os.features': optionalStrings(body, 'os.features', fault),
    variant: optionalString(body, 'variant', fault),
    config: parseContainerConfig(body['config']),
    rootfs: { type: 'layers', diff_ids: parseDiffIds(body['rootfs']) },
    history: parseHistory(body['history']),
  });
}
