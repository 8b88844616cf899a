import { readFileSync } from 'node:fs';

/** One line of /proc/pid/mountinfo. proc_pid_mountinfo(5) */
export interface MountEntry {
  readonly id: number;
  readonly parent: number;
  /** `major:minor` of the file system. */
  readonly device: string;
  /** The part of the file system that is shown. */
  readonly root: string;
  readonly target: string;
  /** Of the mount: `rw`, `nosuid`, … */
  readonly options: readonly string[];
  /** `shared:1`, `master:2`, … */
  readonly propagation: readonly string[];
  readonly type: string;
  readonly source: string;
  /** Of the file system, unsplit: values may hold commas. */
  readonly superOptions: string;
}

/** Undoes the kernel's octal escapes (space, tab, newline, backslash, #); bytes that are not UTF-8 become U+FFFD. */
function unescape(field: string): string {
  const raw = field.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
  return Buffer.from(raw, 'latin1').toString('utf8');
}

/** Reads mountinfo's text (as latin1, one character a byte). Lines that do not parse are left out. */
export function parseMountinfo(text: string): MountEntry[] {
  const entries: MountEntry[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const separator = fields.indexOf('-', 6);
    const [id, parent, device, root, target, options] = fields;
    if (separator < 0 || target === undefined || options === undefined) continue;
    entries.push({
      id: Number(id),
      parent: Number(parent),
      device: device ?? '',
      root: unescape(root ?? ''),
      target: unescape(target),
      options: options.split(','),
      propagation: fields.slice(6, separator),
      type: unescape(fields[separator + 1] ?? ''),
      source: unescape(fields[separator + 2] ?? ''),
      superOptions: unescape(fields[separator + 3] ?? ''),
    });
  }
  return entries;
}

/** The mounts this process sees, in the kernel's order: a later one at the same target lies on top. */
export function listMounts(): MountEntry[] {
  return parseMountinfo(readFileSync('/proc/self/mountinfo', 'latin1'));
}

/** The mounts at `folder` or below it. The path must be real (no links), as the kernel prints it. */
export function mountsBelow(folder: string): MountEntry[] {
  return listMounts().filter(({ target }) => target === folder || target.startsWith(`${folder}/`));
}
