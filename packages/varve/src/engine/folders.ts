import { join } from 'node:path';
import type { EngineParts } from './parts.ts';

/** Where a container's own files are: host name files, its log. */
export function containerFolder(parts: Pick<EngineParts, 'root'>, id: string): string {
  return join(parts.root, 'containers', id);
}
