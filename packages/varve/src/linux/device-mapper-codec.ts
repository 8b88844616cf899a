/*
 * What is said to the kernel's device mapper and what it answers. Structures and numbers are those of uapi
 * linux/dm-ioctl.h; they are little-endian here, as on x86-64 and arm64. Nothing in this file does anything.
 */

/** Bytes of struct dm_ioctl, which comes first both ways. */
const headerBytes = 312;
const nameOffset = 48;
/** Of a device's name, its NUL not counted: DM_NAME_LEN - 1. */
const deviceNameMax = 127;
/** Interface version 4.0 is in every kernel since 2.6. */
const version = [4, 0, 0] as const;

const dmFlags = {
  readOnly: 1 << 0,
  suspend: 1 << 1,
  /** Ask for the table itself, not its state. */
  table: 1 << 4,
  activePresent: 1 << 5,
  bufferFull: 1 << 8,
  /** Do not freeze the file system on it. */
  skipLock: 1 << 10,
  noFlush: 1 << 11,
  dataOut: 1 << 16,
  deferredRemove: 1 << 17,
} as const;

/** One command: what ioctl(2) is called with. */
export interface DeviceCommand {
  /** As dm-ioctl.h calls it, for errors. */
  readonly call: string;
  readonly number: number;
  readonly name: string;
  readonly flags: number;
  readonly targetCount: number;
  readonly event: number;
  readonly payload: Buffer;
}

/** One line of a device's table: `length` sectors from `start`, made by a target of this type. */
export interface TableLine {
  readonly start: number;
  readonly length: number;
  readonly type: string;
  /** What the target's documentation calls its parameters; in an answer, its state or its parameters. */
  readonly parameters: string;
}

export interface DeviceNumber {
  readonly major: number;
  readonly minor: number;
}

export interface DeviceReply {
  readonly device: DeviceNumber;
  /** How often it is open or mounted. */
  readonly openCount: number;
  readonly isSuspended: boolean;
  /** False until it has been given a table and resumed. */
  readonly isActive: boolean;
  /** True when it goes as soon as its last user does. */
  readonly isGoing: boolean;
  /** True when the answer did not fit. */
  readonly isCut: boolean;
  readonly targetCount: number;
  readonly dataOut: boolean;
  readonly payload: Buffer;
}

/*
 * udev looks into every new disk, and removing one fails with EBUSY while it does. These flags, in the upper half of the
 * event number, tell its rules to leave ours alone, as libdevmapper's DM_UDEV_DISABLE_{SUBSYSTEM,DISK,OTHER}_RULES.
 */
const quietEvent = ((0x2 | 0x4 | 0x8) << 16) >>> 0;

function command(
  call: string,
  number: number,
  name: string,
  rest: { flags?: number; targetCount?: number; event?: number; payload?: Buffer } = {},
): DeviceCommand {
  const { flags = 0, targetCount = 0, event = 0, payload = Buffer.alloc(0) } = rest;
  return { call, number, name, flags, targetCount, event, payload };
}

/** The commands of the device mapper, as data. */
export const deviceCommand = {
  /** The interface's version. */
  version: () => command('DM_VERSION', 0, ''),
  /** The devices there are; read the answer with {@link decodeNames}. */
  list: () => command('DM_LIST_DEVICES', 2, ''),
  /** A device without a table. EBUSY when the name is taken. */
  create: (name: string) => command('DM_DEV_CREATE', 3, name),
  /** ENXIO when there is none, EBUSY while it is open. With `deferred` it then goes when its last user does. */
  remove: (name: string, options: { readonly deferred?: boolean } = {}) =>
    command('DM_DEV_REMOVE', 4, name, {
      flags: options.deferred ? dmFlags.deferredRemove : 0,
      event: quietEvent,
    }),
  /** Holds back what is written to it, after flushing what is under way. */
  suspend: (name: string) => command('DM_DEV_SUSPEND', 6, name, { flags: dmFlags.suspend }),
  /** Ends a suspension, or starts a device whose table was loaded. */
  resume: (name: string) => command('DM_DEV_SUSPEND', 6, name, { event: quietEvent }),
  status: (name: string) => command('DM_DEV_STATUS', 7, name),
  /** Gives it a table that counts from the next resume on. */
  load: (name: string, table: readonly TableLine[], options: { readonly readOnly?: boolean } = {}) =>
    command('DM_TABLE_LOAD', 9, name, {
      flags: options.readOnly ? dmFlags.readOnly : 0,
      targetCount: table.length,
      payload: encodeTable(table),
    }),
  /** The state of each line of its table; read the answer with {@link decodeTable}. */
  tableStatus: (name: string) => command('DM_TABLE_STATUS', 12, name, { flags: dmFlags.noFlush }),
  /** Its table as it was loaded; read the answer with {@link decodeTable}. */
  table: (name: string) => command('DM_TABLE_STATUS', 12, name, { flags: dmFlags.table | dmFlags.noFlush }),
  /** Words to the target that makes its first sector. */
  message: (name: string, text: string) =>
    command('DM_TARGET_MSG', 14, name, { payload: Buffer.concat([Buffer.alloc(8), cString(text)]) }),
  /** Finds a type of target, loading its module; EINVAL when there is none (Linux 5.5). */
  targetVersion: (type: string) => command('DM_GET_TARGET_VERSION', 17, type),
} as const;

function cString(text: string): Buffer {
  return Buffer.from(`${text}\0`);
}

/** struct dm_target_spec: sector_start, length, status, next, target_type[16]; the parameters come after it. */
const specBytes = 40;
const typeOffset = 24;
const typeBytes = 16;

function encodeTable(table: readonly TableLine[]): Buffer {
  return Buffer.concat(
    table.map(({ start, length, type, parameters }) => {
      const text = cString(parameters);
      const bytes = (specBytes + text.length + 7) & ~7;
      const line = Buffer.alloc(bytes);
      line.writeBigUInt64LE(BigInt(start), 0);
      line.writeBigUInt64LE(BigInt(length), 8);
      // Here from this line to the next one; in an answer from the first line.
      line.writeUInt32LE(bytes, 20);
      line.write(type, typeOffset, typeBytes - 1, 'latin1');
      text.copy(line, specBytes);
      return line;
    }),
  );
}

/** ioctl's request: _IOWR(0xfd, number, struct dm_ioctl). */
export function requestNumber(number: number): number {
  return ((3 << 30) | (headerBytes << 16) | (0xfd << 8) | number) >>> 0;
}

/** A command as the kernel reads it, in a buffer of `size` bytes, which has room for the answer. */
export function encodeCommand(wanted: DeviceCommand, size: number): Buffer {
  const buffer = Buffer.alloc(Math.max(size, headerBytes + wanted.payload.length));
  version.forEach((part, index) => buffer.writeUInt32LE(part, index * 4));
  buffer.writeUInt32LE(buffer.length, 12);
  buffer.writeUInt32LE(headerBytes, 16);
  buffer.writeUInt32LE(wanted.targetCount, 20);
  buffer.writeUInt32LE(wanted.flags >>> 0, 28);
  buffer.writeUInt32LE(wanted.event, 32);
  buffer.write(wanted.name, nameOffset, deviceNameMax, 'latin1');
  wanted.payload.copy(buffer, headerBytes);
  return buffer;
}

export function decodeReply(buffer: Buffer): DeviceReply {
  const flags = buffer.readUInt32LE(28);
  const has = (flag: number): boolean => (flags & flag) !== 0;
  const end = Math.min(buffer.readUInt32LE(12), buffer.length);
  return {
    device: decodeDevice(buffer.readBigUInt64LE(40)),
    openCount: buffer.readInt32LE(24),
    isSuspended: has(dmFlags.suspend),
    isActive: has(dmFlags.activePresent),
    isGoing: has(dmFlags.deferredRemove),
    isCut: has(dmFlags.bufferFull),
    targetCount: buffer.readUInt32LE(20),
    dataOut: has(dmFlags.dataOut),
    payload: buffer.subarray(Math.min(buffer.readUInt32LE(16), end), end),
  };
}

/** The kernel's own form of a device number (huge_encode_dev). */
function decodeDevice(value: bigint): DeviceNumber {
  return {
    major: Number((value >> 8n) & 0xfffn),
    minor: Number((value & 0xffn) | ((value >> 12n) & 0xfff00n)),
  };
}

function text(buffer: Buffer, start: number): string {
  const end = buffer.indexOf(0, start);
  return buffer.toString('latin1', start, end < 0 ? buffer.length : end);
}

/** The lines of a table from an answer. */
export function decodeTable({ payload, targetCount }: DeviceReply): TableLine[] {
  const lines: TableLine[] = [];
  for (let at = 0; lines.length < targetCount && at + specBytes <= payload.length; ) {
    lines.push({
      start: Number(payload.readBigUInt64LE(at)),
      length: Number(payload.readBigUInt64LE(at + 8)),
      type: text(payload.subarray(at + typeOffset, at + typeOffset + typeBytes), 0),
      parameters: text(payload, at + specBytes),
    });
    const next = payload.readUInt32LE(at + 20);
    if (next <= at) break;
    at = next;
  }
  return lines;
}

/** The names of all devices from an answer: struct dm_name_list, each with its distance to the next. */
export function decodeNames({ payload }: DeviceReply): string[] {
  const names: string[] = [];
  for (let at = 0; at + 12 < payload.length; ) {
    // A list without devices is one entry with device number 0.
    if (payload.readBigUInt64LE(at) !== 0n) names.push(text(payload, at + 12));
    const next = payload.readUInt32LE(at + 8);
    if (next === 0) break;
    at += next;
  }
  return names;
}
