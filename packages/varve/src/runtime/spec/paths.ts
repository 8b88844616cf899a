import { existsSync, readdirSync } from 'node:fs';

/** Paths that hide the host's hardware and kernel internals (moby oci/defaults.go). */
const masked: readonly string[] = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
];

/** Paths that a container may read and not write. */
export const defaultReadonlyPaths: readonly string[] = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
];

/** The masked paths, with each processor's thermal throttling counters (a side channel, CVE-2024-41110's sibling GHSA-6fw5-f8r9-fgfm). */
export function defaultMaskedPaths(): readonly string[] {
  const root = '/sys/devices/system/cpu';
  const counters = existsSync(root)
    ? readdirSync(root)
        .filter((name) => /^cpu\d+$/.test(name))
        .map((name) => `${root}/${name}/thermal_throttle`)
        .filter((path) => existsSync(path))
    : [];
  return [...masked, ...counters];
}
