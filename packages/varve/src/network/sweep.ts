import { existsSync } from 'node:fs';
import type { Links } from '../linux/index.ts';
import { nft } from './firewall.ts';

const marker = 'varve engine ';

/**
 * The note on tables and bridges: which folder of which engine they belong to. Empty where it would need quoting or is too
 * long for a comment (128 bytes); such an engine's leftovers are nobody's to clear.
 */
export function ownerNote(folder: string): string {
  const note = `${marker}${folder}`;
  return /^[\w ./-]{1,120}$/.test(note) ? note : '';
}

function isDead(note: string | undefined): boolean {
  return note?.startsWith(marker) === true && !existsSync(note.slice(marker.length));
}

/**
 * Clears tables and bridges of engines whose folder is gone: a data root that was deleted while its containers ran, or
 * before its engine was stopped. Their published ports would otherwise be theirs for ever.
 */
export async function sweepDeadEngines(links: Links, tablePrefix: string): Promise<string[]> {
  const said: string[] = [];
  const present = links.list();
  for (const bridge of present.filter(({ alias }) => isDead(alias))) {
    for (const port of present) if (port.master === bridge.index) await links.delete(port.name);
    await links.delete(bridge.name);
    said.push(`removed bridge ${bridge.name} of a removed engine`);
  }
  const tables = [...(await nft('list tables ip\n')).matchAll(/^table ip (\w+)$/gm)].map(
    ([, name]) => name ?? '',
  );
  for (const table of tables.filter((name) => name.startsWith(tablePrefix))) {
    const [, note] = /\n\s*comment "([^"]*)"/.exec(await nft(`list table ip ${table}\n`)) ?? [];
    if (!isDead(note)) continue;
    await nft(`delete table ip ${table}\ntable bridge ${table}\ndelete table bridge ${table}\n`);
    said.push(`removed rules ${table} of a removed engine`);
  }
  return said;
}
