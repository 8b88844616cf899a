import { layerError } from './errors.ts';

/**
 * A path inside a root as bytes in a string (latin1): relative, without empty, `.` or `..` parts; empty for the root.
 * Strings make good keys, and no byte is lost.
 */
export type BytePath = string;

/** The bytes of a {@link BytePath}. */
export function pathBytes(path: BytePath): Buffer {
  return Buffer.from(path, 'latin1');
}

/**
 * Makes a name from an archive a path inside the root: `/` and `.` go, `..` takes a part away and never leaves the root.
 * Decided by the text alone, as Go's path.Clean does for Docker and containerd; links are the kernel's to resolve.
 * @throws VarveError TAR_BAD_NAME for a NUL.
 */
export function cleanPath(name: Buffer): BytePath {
  const text = name.toString('latin1');
  if (text.includes('\0')) throw layerError('TAR_BAD_NAME', 'NUL in a name', name);
  // Most names need nothing but their last slash taken away.
  if (!/^[/]|\/\/|(?:^|\/)\.{1,2}(?:\/|$)/.test(text)) return text.endsWith('/') ? text.slice(0, -1) : text;
  const parts: string[] = [];
  for (const part of text.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return parts.join('/');
}

/** The folder and the last part of a path that is not the root. */
export function splitPath(path: BytePath): { readonly parent: BytePath; readonly base: string } {
  const at = path.lastIndexOf('/');
  return at < 0 ? { parent: '', base: path } : { parent: path.slice(0, at), base: path.slice(at + 1) };
}

/** `parent/base`, or `base` at the root. */
export function joinPath(parent: BytePath, base: string): BytePath {
  return parent === '' ? base : `${parent}/${base}`;
}
