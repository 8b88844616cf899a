import type { Descriptor, HistoryEntry } from '../../oci/index.ts';

/** One line of an image's making: an instruction, the layer that it made, or both. */
export interface HistoryRow {
  /** undefined for a layer that no instruction accounts for. */
  readonly instruction: string | undefined;
  readonly created: string | undefined;
  readonly comment: string | undefined;
  /** undefined for an instruction that changed no file. */
  readonly layer: Descriptor | undefined;
  /** Of the layer, from 1. */
  readonly number: number | undefined;
}

/** Lines of an image's making that are shown. */
export const maxHistoryRows = 2000;

/**
 * Gives each instruction its layer: those that are not `empty_layer` made one each, in order (OCI image spec,
 * config.md). What does not come out even is reported, not guessed at.
 */
export function joinHistory(
  history: readonly HistoryEntry[],
  layers: readonly Descriptor[],
): { readonly rows: readonly HistoryRow[]; readonly problem: string | undefined } {
  const rows: HistoryRow[] = [];
  let next = 0;
  let missing = 0;
  for (const { created, created_by: createdBy = '', comment, empty_layer: empty } of history) {
    const layer = empty ? undefined : layers[next];
    if (!empty) next++;
    if (!empty && !layer) missing++;
    const number = layer ? next : undefined;
    rows.push({ instruction: instructionOf(createdBy), created, comment, layer, number });
  }
  for (const [index, layer] of layers.entries()) {
    if (index < next) continue;
    rows.push({ instruction: undefined, created: undefined, comment: undefined, layer, number: index + 1 });
  }
  return { rows, problem: problemOf(missing, history.length === 0 ? 0 : layers.length - next) };
}

function problemOf(missing: number, left: number): string | undefined {
  if (missing > 0) return `the history names ${missing} more layers than the manifest has`;
  return left > 0 ? `the history does not account for the last ${left} layers` : undefined;
}

/** A builder's record of an instruction as the Dockerfile had it: what the classic builder and BuildKit add is left out. */
export function instructionOf(createdBy: string): string {
  const text = createdBy.trim().replace(/ # buildkit$/, '');
  const note = /^\/bin\/sh -c #\(nop\)\s*/.exec(text);
  if (note) return text.slice(note[0].length);
  if (text.startsWith('/bin/sh -c ')) return `RUN ${text.slice('/bin/sh -c '.length)}`;
  return text.replace(/^RUN \/bin\/sh -c /, 'RUN ');
}
