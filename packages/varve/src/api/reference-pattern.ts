/** A glob of one path part as Go's path.Match knows it: `*`, `?`, `[a-z]`; no star crosses a slash. */
function globPattern(glob: string): RegExp {
  const source = glob.replace(/\[[^\]]*\]|[.+^${}()|\\*?[\]]/g, (part) => {
    if (part === '*') return '[^/]*';
    if (part === '?') return '[^/]';
    if (part.startsWith('[') && part.length > 2) return part.replace(/\\/g, '\\\\');
    return `\\${part}`;
  });
  return new RegExp(`^${source}$`);
}

/**
 * The `reference` filter of image lists: a glob on the familiar name, on the name with its tag, or on the whole
 * (distribution reference.FamiliarMatch).
 */
export function referenceMatches(pattern: string, familiarReference: string): boolean {
  const name = familiarReference.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
  let glob: RegExp;
  try {
    glob = globPattern(pattern);
  } catch {
    return false;
  }
  return glob.test(familiarReference) || glob.test(name);
}
