import { VarveError } from '../base/index.ts';

/** Codes of what can be wrong with an archive, each with what a user can do about it. */
const hints = {
  TAR_TRUNCATED: 'the archive ends too early; fetch it again',
  TAR_BAD_CHECKSUM: 'the archive is damaged, or is no tar archive',
  TAR_BAD_HEADER: 'the archive is damaged, or is no tar archive',
  TAR_BAD_PAX: 'an extended header breaks POSIX pax; make the archive again with another tool',
  TAR_BAD_SPARSE: 'a sparse file’s map contradicts its size; make the archive again without --sparse',
  TAR_LIMIT: 'the archive is larger than any sane one in this respect',
  TAR_UNSUPPORTED_TYPE: 'the archive holds something that is no file, folder, link, device or fifo',
  TAR_BAD_NAME: 'a name in the archive cannot exist in a Linux file system',
  TAR_BAD_XATTR: 'an extended attribute in the archive has a name or value that none can have',
  TAR_BAD_LINK: 'a hard link in the archive leads to nothing inside it',
  TAR_NOT_A_FOLDER: 'the archive uses as a folder what is none',
  TAR_BAD_WHITEOUT: 'a whiteout must name one entry of its own folder',
  COMPRESSION_UNKNOWN: 'a layer is a plain, gzip or zstd tar archive',
  COMPRESSION_DAMAGED: 'the compressed data is damaged; fetch it again',
  COMPRESSION_TRUNCATED: 'the compressed data ends too early; fetch it again',
  COMPRESSION_TRAILING: 'there is something after the end of the compressed data',
  COMPRESSION_BOMB: 'raise the limit if the archive is trusted',
} as const;

export type LayerErrorCode = keyof typeof hints;

/** An `invalid` error about an archive; `where` is the entry's name or a byte offset. */
export function layerError(
  code: LayerErrorCode,
  message: string,
  where?: Buffer | string,
  cause?: unknown,
): VarveError {
  const subject = where === undefined ? undefined : printable(where);
  return new VarveError('invalid', code, subject === undefined ? message : `${message}: ${subject}`, {
    hint: hints[code],
    ...(subject === undefined ? {} : { subject }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/** A name from an archive as it may be shown: quoted, cut at 200 characters, control characters escaped. */
export function printable(name: Buffer | string): string {
  const text = name.toString();
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}
