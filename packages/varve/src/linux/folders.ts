import { result, type SysResult } from './errno.ts';
import { declare } from './libc.ts';

/** One name in a folder. `type` is getdents64(2)'s d_type: 4 folder, 8 regular, 10 symbolic link, 0 unknown, … */
export interface FolderEntry {
  readonly name: Buffer;
  readonly type: number;
}

const libc = {
  getdents64: declare<(fd: number, into: Buffer, size: number) => number>(
    'long getdents64(int fd, void *into, size_t size)',
  ),
};

const buffer = Buffer.alloc(64 << 10);

/**
 * All names of an open folder from its current offset on, without `.` and `..`, in the kernel's order; getdents64(2).
 * A negative errno on failure. Names are bytes: they need not be UTF-8.
 */
export function listFolder(fd: number): FolderEntry[] | SysResult {
  const entries: FolderEntry[] = [];
  for (;;) {
    const length = result(libc.getdents64(fd, buffer, buffer.length));
    if (length < 0) return length;
    if (length === 0) return entries;
    for (let offset = 0; offset < length; ) {
      const size = buffer.readUInt16LE(offset + 16);
      const start = offset + 19;
      const end = buffer.indexOf(0, start);
      const dots =
        buffer[start] === 0x2e && (end === start + 1 || (end === start + 2 && buffer[start + 1] === 0x2e));
      if (!dots) {
        entries.push({ name: Buffer.from(buffer.subarray(start, end)), type: buffer[offset + 18] as number });
      }
      offset += size;
    }
  }
}
