import { chmodSync, chownSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { parseBytes, VarveError } from '../base/index.ts';
import { chompTabs, parseMount, type RunInstruction, type RunMount } from '../dockerfile/index.ts';
import { digestOf } from '../oci/index.ts';
import { commandArgs, defaultShell, joinWorkdir } from './metadata.ts';
import { join, lstat, raw, resolveInside, text } from './raw-path.ts';
import type { StageState } from './stage-state.ts';
import type { StepRunner } from './types.ts';
import type { Workspace } from './workspace.ts';

type StepMount = Parameters<StepRunner['run']>[0]['mounts'][number];

/** A file the shell gets as a here-document with `#!`. */
export interface RunScript {
  readonly name: string;
  readonly content: string;
}

/** RUN with everything expanded. */
export interface RunPlan {
  readonly args: readonly string[];
  readonly script: RunScript | undefined;
  readonly mounts: readonly RunMount[];
  readonly network: 'default' | 'none' | 'host';
}

/** Where a here-document that starts with `#!` is found in the container, as BuildKit places it. */
const scriptFolder = '/dev/pipes';

/**
 * Works out what a RUN executes. A lone here-document is the script itself: with `#!` it is run as a file, else the
 * shell gets its text; one among other words is left to the shell, bodies behind the line.
 * @throws VarveError `invalid`, `not-implemented` for `--security=insecure`, a required secret or an SSH socket.
 */
export function planRun(instruction: RunInstruction, stage: StageState): RunPlan {
  if (instruction.security === 'insecure') {
    throw new VarveError('not-implemented', 'RUN_INSECURE', 'RUN --security=insecure is not supported');
  }
  const mounts = instruction.mounts
    .map((mount) => parseMount(stage.scope.expand(mount)))
    .filter((mount) => {
      if (mount.type !== 'secret' && mount.type !== 'ssh') return true;
      if (!mount.required) return false;
      throw new VarveError('invalid', 'NO_SECRET', `${mount.type} ${mount.id ?? 'default'}: not found`, {
        hint: 'this build protocol cannot carry secrets or SSH sockets',
      });
    });
  const base = { mounts, network: instruction.network, script: undefined };
  const { command, heredocs } = instruction;
  const [first] = heredocs;
  if (command.form === 'exec' || first === undefined) {
    return { ...base, args: commandArgs(command, stage.config) };
  }
  const shell = stage.config.Shell ?? defaultShell;
  if (!/^\d*<<-?[^<\s]+$/.test(command.text)) {
    const bodies = heredocs.map((heredoc) => `\n${heredoc.content}${heredoc.name}`);
    return { ...base, args: [...shell, command.text + bodies.join('')] };
  }
  const content = first.chomp ? chompTabs(first.content) : first.content;
  if (!content.startsWith('#!')) return { ...base, args: [...shell, content] };
  // The name becomes a file's; only a plain one is taken over.
  const name = /^\w[\w.-]{0,100}$/.test(first.name) ? first.name : 'script';
  return { ...base, args: [...shell, `${scriptFolder}/${name}`], script: { name, content } };
}

/** Folders that `--mount=type=cache` keeps from build to build. */
export class CacheMounts {
  readonly #root: string;

  constructor(root: string) {
    this.#root = joinPath(root, 'cache-mounts');
  }

  /** The mount's folder, made on first use with the mode and owner asked for. */
  folder(mount: RunMount): string {
    const folder = joinPath(this.#root, digestOf(cacheMountId(mount)).slice(7));
    if (!lstat(raw(folder))) {
      mkdirSync(folder, { recursive: true });
      chownSync(folder, mount.uid ?? 0, mount.gid ?? 0);
      chmodSync(folder, mount.mode ?? 0o755);
    }
    return folder;
  }
}

/** What two cache mounts must share to be the same one. */
export function cacheMountId(mount: RunMount): string {
  return mount.id ?? mount.target ?? '';
}

/** Where the source of a bind mount is, ready for use. */
export interface MountSource {
  readonly root: string;
  /** Makes a copy that may be written to and is dropped after the build. */
  writable(): Promise<string>;
}

/**
 * Prepares the mounts of a RUN on the host.
 * @param source finds the tree that a bind mount's `from` names.
 */
export async function prepareMounts(
  plan: RunPlan,
  stage: StageState,
  workspace: Workspace,
  caches: CacheMounts,
  source: (from: string | undefined) => Promise<MountSource>,
): Promise<readonly StepMount[]> {
  const mounts: StepMount[] = [];
  for (const mount of plan.mounts) {
    const destination = joinWorkdir(stage.config.WorkingDir, stage.scope.expand(mount.target ?? '/'));
    if (mount.type === 'tmpfs') {
      const size = mount.size === undefined ? [] : [`size=${parseBytes(mount.size)}`];
      mounts.push({ source: 'tmpfs', destination, type: 'tmpfs', readOnly: false, options: size });
    } else if (mount.type === 'cache') {
      if (mount.from !== undefined) {
        throw new VarveError(
          'not-implemented',
          'CACHE_MOUNT_FROM',
          'a cache mount with from= is not supported',
        );
      }
      const folder = caches.folder(mount);
      mounts.push({ source: folder, destination, type: 'bind', readOnly: mount.readOnly, options: [] });
    } else {
      const tree = await source(mount.from);
      const root = mount.readOnly ? tree.root : await tree.writable();
      const path = join(raw(root), resolveInside(raw(root), raw(mount.source ?? '/')));
      if (!lstat(path)) {
        throw new VarveError(
          'not-found',
          'MOUNT_SOURCE_MISSING',
          `failed to find ${mount.source ?? '/'} to mount`,
          {
            subject: mount.source ?? '/',
          },
        );
      }
      mounts.push({ source: text(path), destination, type: 'bind', readOnly: mount.readOnly, options: [] });
    }
  }
  if (plan.script) {
    const folder = workspace.temporaryFolder();
    chmodSync(folder, 0o755);
    writeFileSync(joinPath(folder, plan.script.name), plan.script.content, { mode: 0o755 });
    mounts.push({ source: folder, destination: scriptFolder, type: 'bind', readOnly: true, options: [] });
  }
  return mounts;
}

/** A writable copy of the build context, whose changes are dropped. */
export function copyFolder(folder: string, workspace: Workspace): string {
  const copy = workspace.temporaryFolder();
  cpSync(folder, copy, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  return copy;
}
