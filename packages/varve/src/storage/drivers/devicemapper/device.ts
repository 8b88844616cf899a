import { setTimeout as delay } from 'node:timers/promises';
import { VarveError } from '../../../base/index.ts';
import {
  type DeviceMapper,
  type DeviceReply,
  deviceCommand,
  removeDeviceNode,
  type TableLine,
} from '../../../linux/index.ts';

/** For a device that somebody looks into, such as udev. */
export const busyAttempts = 20;
export const busyPauseMs = 50;

export const hasCode = (error: unknown, ...codes: string[]): boolean =>
  VarveError.is(error) && codes.includes(error.code);

/** The error for a device that is still in use, in dockerd's words. */
export function busy(name: string): VarveError {
  return new VarveError('conflict', 'EBUSY', `devmapper: Device is Busy: ${name}`, {
    subject: name,
    hint: 'something has a file of it open, perhaps in another mount namespace',
  });
}

/** A device's state; undefined when there is none of that name. */
export async function findDevice(mapper: DeviceMapper, name: string): Promise<DeviceReply | undefined> {
  try {
    return await mapper.run(deviceCommand.status(name));
  } catch (error) {
    if (hasCode(error, 'ENXIO')) return undefined;
    throw error;
  }
}

/** Makes a device with this table, unless it is there; goes on with one that was half made, stopped or about to go. */
export async function startDevice(mapper: DeviceMapper, name: string, line: TableLine): Promise<DeviceReply> {
  const existing = await findDevice(mapper, name);
  if (existing?.isActive) {
    if (existing.isSuspended) await mapper.run(deviceCommand.resume(name));
    if (existing.isGoing) await mapper.run(deviceCommand.message(name, '@cancel_deferred_remove'));
    return existing;
  }
  const made = existing ?? (await mapper.run(deviceCommand.create(name)));
  try {
    await mapper.run(deviceCommand.load(name, [line]));
    await mapper.run(deviceCommand.resume(name));
  } catch (error) {
    await mapper.run(deviceCommand.remove(name)).catch(() => undefined);
    throw error;
  }
  return made;
}

/**
 * Removes a device and its node; one that is not there is removed.
 * @param deferred true to have the kernel remove a busy one when its last user goes.
 * @throws VarveError `conflict` EBUSY for one that stays busy.
 */
export async function stopDevice(mapper: DeviceMapper, name: string, deferred: boolean): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await mapper.run(deviceCommand.remove(name, { deferred }));
      break;
    } catch (error) {
      if (hasCode(error, 'ENXIO')) break;
      if (!hasCode(error, 'EBUSY')) throw error;
      if (attempt === busyAttempts) throw busy(name);
      await delay(busyPauseMs);
    }
  }
  removeDeviceNode(name);
}
