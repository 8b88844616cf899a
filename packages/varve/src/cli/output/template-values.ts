/** Go's notion of an empty value: false, 0, nil, and empty strings and collections. */
export function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === '') return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

/** Members of Docker's answers that are maps in Go; all other objects are structs, which print and fail otherwise. */
const maps: ReadonlySet<string> = new Set([
  'Labels',
  'Annotations',
  'Ports',
  'PortBindings',
  'ExposedPorts',
  'Volumes',
  'Networks',
  'Options',
  'DriverOpts',
  'Attributes',
  'Sysctls',
  'Tmpfs',
  'StorageOpt',
  'Containers',
  'Details',
  'Data',
  'Config',
  'Status',
]);

/** Members that Docker leaves out of its JSON when they are empty: no mistake to ask for. */
const optional: ReadonlySet<string> = new Set([
  'Health',
  'Healthcheck',
  'SizeRw',
  'SizeRootFs',
  'Volumes',
  'ExposedPorts',
  'OnBuild',
  'Shell',
  'StopSignal',
  'StopTimeout',
  'ArgsEscaped',
  'NetworkDisabled',
  'MacAddress',
  'Annotations',
  'Mounts',
  'Tmpfs',
  'Sysctls',
  'StorageOpt',
  'Init',
  'Runtime',
  'GraphDriver',
  'Storage',
  'Variant',
  'OsVersion',
  'Identity',
  'Manifests',
  'Descriptor',
  'ImageManifestDescriptor',
  'UsageData',
  'ClusterVolume',
  'Status',
  'Options',
  'CreatedAt',
  'GwPriority',
  'Swarm',
  'Warnings',
]);

/** True when an object that stands under this name is a map: any key may be asked for. */
export function isMap(name: string | undefined, value: object): boolean {
  // `Config` is a map in a log driver's settings and a struct in a container.
  if (name === 'Config') return !('Cmd' in value);
  // `Status` of a volume is a map, of a container's state a word.
  return name !== undefined && maps.has(name);
}

/** True when a member of a struct may be absent. */
export const mayLack = (name: string): boolean => optional.has(name);

/** A value as `{{.X}}` prints it: Go's %v. `name` is the member it stands under: a map shows its keys, a struct does not. */
export function printValue(value: unknown, name?: string): string {
  if (value === undefined) return '<no value>';
  if (value === null) return '<nil>';
  if (Array.isArray(value)) return `[${value.map((item) => printValue(item, 'item')).join(' ')}]`;
  if (typeof value !== 'object') return (value as string | number | boolean).toString();
  const entries = Object.entries(value).filter(([, entry]) => typeof entry !== 'function');
  if (name !== undefined && !isMap(name, value)) {
    return `{${entries.map(([key, entry]) => printValue(entry, key)).join(' ')}}`;
  }
  return `map[${entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, entry]) => `${key}:${printValue(entry, 'value')}`)
    .join(' ')}]`;
}
