import type { Volume } from '../../volume/index.ts';

/** A volume; with its use when that was measured. */
export function volumeView(
  volume: Volume,
  usage?: { readonly bytes: number; readonly users: number },
): Record<string, unknown> {
  const options = Object.keys(volume.options).length > 0 ? volume.options : null;
  const { labels } = volume;
  return {
    CreatedAt: volume.createdAt,
    Driver: volume.driver,
    Labels: Object.keys(labels).length > 0 ? labels : null,
    Mountpoint: volume.mountpoint,
    Name: volume.name,
    Options: options,
    Scope: 'local',
    ...(usage ? { UsageData: { RefCount: usage.users, Size: usage.bytes } } : {}),
  };
}
