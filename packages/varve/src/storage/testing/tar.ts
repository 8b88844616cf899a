/** One entry of an archive made for a test; nothing is checked, so hostile ones can be made too. */
export interface TestEntry {
  readonly name: string;
  /** Type flag of the ustar format; a regular file when absent. */
  readonly type?: '0' | '1' | '2' | '3' | '4' | '5' | '6';
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Seconds since 1970. */
  readonly mtime?: number;
  readonly content?: string;
  readonly linkname?: string;
  readonly device?: readonly [major: number, minor: number];
  /** Records of a pax header before it, e.g. `SCHILY.xattr.user.x`. */
  readonly pax?: Readonly<Record<string, string>>;
}

function block(entry: TestEntry, type: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  const octal = (value: number, offset: number, width: number): void => {
    header.write(`${value.toString(8).padStart(width - 1, '0')}\0`, offset, 'latin1');
  };
  header.write(entry.name, 0, 100);
  octal(entry.mode ?? (type === '5' ? 0o755 : 0o644), 100, 8);
  octal(entry.uid ?? 0, 108, 8);
  octal(entry.gid ?? 0, 116, 8);
  octal(content.length, 124, 12);
  octal(entry.mtime ?? 1_600_000_000, 136, 12);
  header.write(type, 156, 'latin1');
  header.write(entry.linkname ?? '', 157, 100);
  header.write('ustar\x0000', 257, 'latin1');
  octal(entry.device?.[0] ?? 0, 329, 8);
  octal(entry.device?.[1] ?? 0, 337, 8);
  header.write('        ', 148, 'latin1');
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    8,
  );
  return Buffer.concat([header, content, Buffer.alloc(-content.length & 511)]);
}

function paxRecord(key: string, value: string): string {
  const body = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(body) + 1;
  while (String(length).length + Buffer.byteLength(body) !== length) length++;
  return `${length}${body}`;
}

/** An uncompressed archive in the ustar format, with pax headers where asked. */
export function makeTar(entries: readonly TestEntry[]): Buffer {
  const blocks: Buffer[] = [];
  for (const entry of entries) {
    if (entry.pax) {
      const records = Object.entries(entry.pax).map(([key, value]) => paxRecord(key, value));
      blocks.push(block({ name: 'PaxHeaders/x' }, 'x', Buffer.from(records.join(''))));
    }
    blocks.push(block(entry, entry.type ?? '0', Buffer.from(entry.content ?? '')));
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}
