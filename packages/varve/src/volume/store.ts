import { mkdirSync, readdirSync, realpathSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { KeyedLock, randomId, syncFolder, VarveError } from '../base/index.ts';
import { listMounts, mount, mountFlags, unmount } from '../linux/index.ts';
import type { State } from '../state/index.ts';
import { deleteInBackground, measureInBackground } from '../storage/index.ts';
import { copyUp, stagingPrefix } from './copy-up.ts';
import { parseVolumeOptions, type VolumeMount } from './options.ts';
import { type VolumeRecord, VolumeRecords } from './records.ts';
import type { Volume } from './types.ts';

const validName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
const longestName = 255;
const removingPrefix = '.removing-';

/** What a new volume is made from. */
export interface VolumeSpec {
  /** 64 hex digits are chosen when absent or empty. */
  readonly name?: string;
  readonly anonymous?: boolean;
  /** Only `local`. */
  readonly driver?: string;
  /** Of the local driver: `type`, `device`, `o`. */
  readonly options?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
}

/**
 * `record-unreadable`: labels and options are lost; `missing`: no folder; `unrecorded`: a folder without a record; `foreign`:
 * a name that no volume can have.
 */
export interface VolumeProblem {
  readonly kind: 'record-unreadable' | 'missing' | 'unrecorded' | 'foreign';
  readonly name: string;
}

function checkName(name: string): void {
  if (name.length === 1) {
    throw new VarveError(
      'invalid',
      'INVALID_VOLUME_NAME',
      `create ${name}: volume name is too short, names should be at least two alphanumeric characters`,
      { subject: name },
    );
  }
  if (validName.test(name) && name.length <= longestName) return;
  throw new VarveError(
    'invalid',
    'INVALID_VOLUME_NAME',
    `create ${name.slice(0, longestName)}: "${name.slice(0, longestName)}" includes invalid characters for a local volume name, ` +
      'only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path',
    { subject: name },
  );
}

function isMounted(path: string): boolean {
  return listMounts().some(({ target }) => target === path);
}

function mountData({ type, device, flags, data }: VolumeMount, target: string): void {
  const isBind = (flags & mountFlags.bind) !== 0;
  mount(device, target, type, isBind ? flags & (mountFlags.bind | mountFlags.recursive) : flags, data);
  // A bind takes its other flags in a second step only (mount(2), "Creating a bind mount").
  const rest = flags & ~mountFlags.recursive;
  if (isBind && rest !== mountFlags.bind) mount('none', target, null, rest | mountFlags.remount);
}

/**
 * The volumes of one data root: `volumes/<name>/_data` and a record. Records follow the folders: a folder is there
 * before its record, and away before the record goes.
 */
export class VolumeStore {
  readonly #records: VolumeRecords;
  readonly #root: string;
  readonly #lock = new KeyedLock();

  /** @param root the folder `volumes`, made when missing. */
  constructor({ state, root }: { readonly state: State; readonly root: string }) {
    this.#records = new VolumeRecords(state);
    mkdirSync(root, { recursive: true, mode: 0o711 });
    // The kernel lists mounts without links in their paths.
    this.#root = realpathSync(root);
  }

  /** By name. */
  list(): Volume[] {
    return this.#records.list().map((record) => this.#view(record));
  }

  /** @throws VarveError `not-found` `get x: no such volume`. */
  get(name: string): Volume {
    const record = this.#records.get(name);
    if (record) return this.#view(record);
    throw new VarveError('not-found', 'NO_SUCH_VOLUME', `get ${name}: no such volume`, { subject: name });
  }

  /** Makes a volume, or gives the one that has the name, as it is. @throws VarveError `invalid` for a bad name or option. */
  async create(spec: VolumeSpec): Promise<Volume> {
    const name = spec.name || randomId();
    checkName(name);
    const driver = spec.driver ?? 'local';
    if (driver !== 'local' && driver !== 'default') {
      throw new VarveError(
        'not-found',
        'NO_SUCH_VOLUME_DRIVER',
        `create ${name}: error looking up volume plugin ${driver}: plugin "${driver}" not found`,
      );
    }
    return this.#lock.run(name, () => {
      const existing = this.#records.get(name);
      if (existing) return this.#view(existing);
      const options = spec.options ?? {};
      this.#optionsOf(name, options);
      const anonymous = spec.anonymous ?? !spec.name;
      mkdirSync(join(this.#root, name, '_data'), { recursive: true, mode: 0o755 });
      syncFolder(join(this.#root, name));
      syncFolder(this.#root);
      const record: VolumeRecord = {
        name,
        driver: 'local',
        labels: anonymous ? { ...spec.labels, 'com.docker.volume.anonymous': '' } : { ...spec.labels },
        options,
        createdAt: new Date().toISOString(),
        anonymous,
      };
      this.#records.add(record);
      return this.#view(record);
    });
  }

  /**
   * Removes a volume with its data.
   * @throws VarveError `conflict` while a container has it mounted; `not-found` unless forced.
   */
  async remove(name: string, options: { readonly force?: boolean } = {}): Promise<void> {
    await this.#lock.run(name, async () => {
      if (options.force && !this.#records.get(name)) return;
      const { mountpoint } = this.get(name);
      const users = this.#records.users(name);
      if (users.length > 0) {
        throw new VarveError(
          'conflict',
          'VOLUME_IN_USE',
          `remove ${name}: volume is in use - [${users.join(', ')}]`,
          { subject: name },
        );
      }
      unmount(mountpoint);
      const away = join(this.#root, `${removingPrefix}${randomId().slice(0, 12)}`);
      try {
        renameSync(join(this.#root, name), away);
        syncFolder(this.#root);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
      }
      this.#records.remove(name);
      await deleteInBackground(away);
    });
  }

  /**
   * Removes what no container has mounted: anonymous volumes, with `all` named ones too.
   * @param keep spares a volume, e.g. one that a stopped container names.
   */
  async prune(
    options: { readonly all?: boolean; readonly keep?: (volume: Volume) => boolean } = {},
  ): Promise<{ readonly deleted: readonly string[]; readonly bytes: number }> {
    const deleted: string[] = [];
    let bytes = 0;
    for (const volume of this.list()) {
      if (!(volume.anonymous || options.all) || options.keep?.(volume)) continue;
      if (this.#records.users(volume.name).length > 0) continue;
      bytes += await this.usage(volume.name);
      await this.remove(volume.name, { force: true });
      deleted.push(volume.name);
    }
    return { deleted, bytes };
  }

  /** Counts a container among the users and gives the folder with the data; the first use mounts what the options say. */
  async mount(name: string, containerId: string): Promise<string> {
    return this.#lock.run(name, () => {
      const { mountpoint, options } = this.get(name);
      mkdirSync(mountpoint, { recursive: true, mode: 0o755 });
      const wanted = this.#optionsOf(name, options);
      if (wanted && !isMounted(mountpoint)) {
        try {
          mountData(wanted, mountpoint);
        } catch (cause) {
          unmount(mountpoint);
          throw new VarveError(
            'invalid',
            'VOLUME_MOUNT_FAILED',
            `failed to mount local volume: mount ${wanted.device}:${mountpoint}, data: ${wanted.data}: ${VarveError.from(cause).code}`,
            { subject: name, cause },
          );
        }
      }
      this.#records.addUser(name, containerId);
      return mountpoint;
    });
  }

  /** Ends a container's use; the last one unmounts. Nothing happens for one that was none. */
  async unmount(name: string, containerId: string): Promise<void> {
    await this.#lock.run(name, () => {
      const record = this.#records.get(name);
      if (!record) return;
      this.#records.removeUser(name, containerId);
      if (Object.keys(record.options).length > 0 && this.#records.users(name).length === 0) {
        unmount(this.#view(record).mountpoint, { detach: true });
      }
    });
  }

  /** Fills an empty volume with a folder of the image; `path` is resolved inside `rootfs`. See {@link file://./copy-up.ts}. */
  async copyUp(name: string, image: { readonly rootfs: string; readonly path: string }): Promise<void> {
    await this.#lock.run(name, () => {
      const { options } = this.get(name);
      const shared = Object.keys(options).length > 0 || this.#records.users(name).length > 1;
      return copyUp(join(this.#root, name), image, shared);
    });
  }

  /** Bytes on disk. @throws VarveError `not-found`. */
  async usage(name: string): Promise<number> {
    return (await measureInBackground(this.get(name).mountpoint)).bytes;
  }

  /**
   * After a start of the daemon: forgets users that do not run any more, finishes removals and drops half copies.
   * Says what it did.
   */
  async restore(running: Iterable<string>): Promise<string[]> {
    const alive = new Set(running);
    const said: string[] = [];
    for (const { name } of this.#records.list()) {
      for (const user of this.#records.users(name)) if (!alive.has(user)) await this.unmount(name, user);
      for (const entry of readdirOr(join(this.#root, name))) {
        if (!entry.startsWith(stagingPrefix)) continue;
        await deleteInBackground(join(this.#root, name, entry));
        said.push(`dropped an unfinished copy in volume ${name}`);
      }
      if (statSync(join(this.#root, name), { throwIfNoEntry: false })) continue;
      this.#records.remove(name);
      said.push(`finished the removal of volume ${name}`);
    }
    for (const entry of readdirOr(this.#root)) {
      if (entry.startsWith(removingPrefix)) await deleteInBackground(join(this.#root, entry));
    }
    return said;
  }

  /** Where records and folders differ; see {@link VolumeStore.mend}. */
  check(): readonly VolumeProblem[] {
    const known = new Set(this.#records.list().map(({ name }) => name));
    const folders = readdirOr(this.#root).filter((name) => !name.startsWith(removingPrefix));
    return [
      ...this.#records.unreadable().map((name) => ({ kind: 'record-unreadable' as const, name })),
      ...[...known]
        .filter((name) => !folders.includes(name))
        .map((name) => ({ kind: 'missing' as const, name })),
      ...folders
        .filter((name) => !known.has(name))
        .map((name) => ({
          kind: validName.test(name) ? ('unrecorded' as const) : ('foreign' as const),
          name,
        })),
    ];
  }

  /** Takes up a folder without a record, makes a folder anew, writes a record anew. False for what is not a volume's. */
  async mend({ kind, name }: VolumeProblem): Promise<boolean> {
    if (kind === 'foreign') return false;
    if (kind === 'unrecorded') await this.create({ name });
    else if (kind === 'missing') mkdirSync(join(this.#root, name, '_data'), { recursive: true, mode: 0o755 });
    else this.#records.rewrite(name);
    return true;
  }

  #optionsOf(name: string, options: Readonly<Record<string, string>>): VolumeMount | undefined {
    try {
      return parseVolumeOptions(options);
    } catch (error) {
      const { kind, code, message } = VarveError.from(error);
      throw new VarveError(kind, code, `create ${name}: ${message}`, { subject: name });
    }
  }

  #view(record: VolumeRecord): Volume {
    return { ...record, mountpoint: join(this.#root, record.name, '_data') };
  }
}

function readdirOr(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
