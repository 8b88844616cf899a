import type { ByteRange } from '../../content/index.ts';

const single = /^bytes=\s*(?:(\d{1,16})-(\d{0,16})|-(\d{1,16}))\s*$/;

/**
 * Reads a Range header (RFC 9110 section 14.2) for content of `size` bytes. Returns undefined when the whole is to be
 * sent: no header, another unit, or several ranges, which a server may decline.
 */
export function parseRange(
  header: string | undefined,
  size: number,
): Required<ByteRange> | 'unsatisfiable' | undefined {
  if (header === undefined || !header.startsWith('bytes=') || header.includes(',')) return undefined;
  const match = single.exec(header);
  if (!match) return 'unsatisfiable';
  const [, first, last, suffix] = match;
  if (suffix !== undefined) {
    const length = Math.min(Number(suffix), size);
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size };
  }
  const start = Number(first);
  const end = last === '' ? size : Math.min(Number(last) + 1, size);
  return start >= size || end <= start ? 'unsatisfiable' : { start, end };
}

/** Whether an If-None-Match header names this entity tag (weak comparison, RFC 9110 section 13.1.2). */
export function matchesEtag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  if (header === etag || header === '*') return true;
  return header.split(',').some((part) => {
    const tag = part.trim();
    return (tag.startsWith('W/') ? tag.slice(2) : tag) === etag;
  });
}
