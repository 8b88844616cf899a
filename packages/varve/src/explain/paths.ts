/** A path of a tar or of a person as parts inside the root: `.` and empty parts go, `..` never leaves the root. */
export function pathParts(path: string): string[] {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return parts;
}

/** Absolute form, `/` for the root. */
export function joinParts(parts: readonly string[]): string {
  return `/${parts.join('/')}`;
}
