import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { VarveError } from '../base/index.ts';
import { conmonComplaint } from './conmon.ts';
import { writeRecord } from './container-record.ts';
import { type RuntimeContext, validId } from './context.ts';
import { createError } from './errors.ts';
import { removeContainer } from './removal.ts';
import { buildSpec } from './spec/build-spec.ts';
import { encodeSpec } from './spec/encode.ts';
import type { ContainerSpec, RunningContainer } from './types.ts';

/**
 * Writes the bundle and starts conmon, which has the runtime make the container and stop before its first instruction.
 * A failure leaves nothing behind.
 * @throws VarveError `conflict` when the id is in use, `invalid` for a bad spec or a program that cannot run.
 */
export async function createContainer(
  context: RuntimeContext,
  spec: ContainerSpec,
  settings: { readonly tini: string; readonly swapAccounting: boolean },
): Promise<RunningContainer> {
  const { id } = spec;
  if (!validId.test(id)) {
    throw new VarveError('invalid', 'INVALID_ID', `invalid container id "${id}"`, { subject: id });
  }
  const { layout } = context;
  const bundle = layout.bundle(id);
  if (existsSync(bundle)) {
    throw new VarveError('conflict', 'CONTAINER_EXISTS', `container "${id}" exists in the runtime`, {
      subject: id,
      hint: 'delete it first',
    });
  }
  const cgroupPath = `${spec.cgroupParent ?? context.cgroupParent}/${id}`;
  const oci = buildSpec(spec, { cgroups: context.cgroups, cgroupPath, ...settings });
  try {
    mkdirSync(join(bundle, 'persist'), { recursive: true, mode: 0o700 });
    mkdirSync(dirname(layout.log(id)), { recursive: true, mode: 0o700 });
    writeFileSync(join(bundle, 'config.json'), encodeSpec(oci), { mode: 0o600 });
    const ownNetwork = spec.namespaces.network !== 'host';
    writeRecord(bundle, {
      id,
      name: spec.name,
      tty: spec.tty,
      openStdin: spec.openStdin,
      user: spec.user,
      cgroupPath,
      ownNetwork,
    });
    return { id, pid: await launch(context, spec, bundle) };
  } catch (error) {
    await removeContainer(context, id);
    throw error;
  }
}

async function launch(context: RuntimeContext, spec: ContainerSpec, bundle: string): Promise<number> {
  const { id } = spec;
  const conmon = context.launcher.start({
    containerId: id,
    uuid: id,
    name: spec.name === '' ? id : spec.name,
    bundle,
    exitDir: context.layout.exits,
    logPath: context.layout.log(id),
    tty: spec.tty,
    stdin: spec.openStdin,
    // Without it conmon closes stdin when the last client goes (StdinOnce); with it, when the container ends.
    leaveStdinOpen: spec.tty || (spec.openStdin && !spec.stdinOnce),
  });
  try {
    conmon.go();
    const answer = await conmon.sync.next();
    if (answer !== undefined && answer.data > 0) return answer.data;
    throw createError(id, answer?.message ?? conmonComplaint(bundle));
  } finally {
    conmon.close();
  }
}
