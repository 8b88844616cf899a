import { existsSync } from 'node:fs';
import { VarveError } from '../../../base/index.ts';
import { DeviceMapper, deviceCommand, findProgram } from '../../../linux/index.ts';
import type { Probe } from '../../types.ts';
import { makerOf } from './base-volume.ts';
import type { PoolOptions } from './options.ts';

/** Asks the kernel for thin pools and looks for what making one needs. Nothing is made. */
export async function probeDeviceMapper(options: PoolOptions): Promise<Probe> {
  if (process.geteuid?.() !== 0) return { ok: false, reason: 'making block devices needs root' };
  try {
    using mapper = new DeviceMapper();
    for (const type of ['thin-pool', 'thin']) await requireTarget(mapper, type);
  } catch (error) {
    return { ok: false, reason: VarveError.from(error).message };
  }
  if (options.pool === undefined && !existsSync('/dev/loop-control')) {
    return {
      ok: false,
      reason: 'without dm.thinpooldev it needs loop devices, and there is no /dev/loop-control',
    };
  }
  try {
    findProgram(makerOf(options.filesystem));
  } catch (error) {
    return { ok: false, reason: VarveError.from(error).message };
  }
  return { ok: true };
}

async function requireTarget(mapper: DeviceMapper, type: string): Promise<void> {
  try {
    await mapper.run(deviceCommand.targetVersion(type));
  } catch (error) {
    // ENOTTY: a kernel before 5.5 cannot be asked; making the pool will tell.
    if (VarveError.is(error) && error.code === 'ENOTTY') return;
    throw new VarveError(
      'unavailable',
      'NO_THIN_POOL',
      `this kernel's device mapper has no target ${type} (CONFIG_DM_THIN_PROVISIONING, module dm_thin_pool)`,
      { subject: type, cause: error },
    );
  }
}
