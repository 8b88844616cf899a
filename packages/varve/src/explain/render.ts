import { formatBytes } from '../base/index.ts';
import { adviceFor } from './advice.ts';
import type { PathExplanation, PathFinding } from './explain-path.ts';
import type { FileFacts, Hiding, LayerName } from './types.ts';
import type { WasteCause, WasteGroup, WasteLedger } from './waste-ledger.ts';

const commas = (value: number): string => String(value).replace(/\B(?=(\d{3})+$)/g, ',');

/** `1.23MB (1,234,567 bytes)`, or `12 bytes`. */
function bytesText(bytes: number): string {
  return bytes < 1000 ? `${bytes} bytes` : `${formatBytes(bytes)} (${commas(bytes)} bytes)`;
}

function countText(count: number, what: string): string {
  return `${commas(count)} ${what}${count === 1 ? '' : 's'}`;
}

/** `layer 3 (RUN make)`; people count from 1, the bottom one. */
function layerText({ index, instruction }: LayerName): string {
  return instruction === undefined ? `layer ${index + 1}` : `layer ${index + 1} (${oneLine(instruction)})`;
}

function oneLine(text: string): string {
  const line = text
    .replace(/\s+/g, ' ')
    .replace(/^\/bin\/sh -c (?:#\(nop\) )?/, '')
    .trim();
  return line.length > 72 ? `${line.slice(0, 71)}…` : line;
}

function fileText({ type, size, mode, uid, gid, linkName }: FileFacts): string {
  const facts = [type, `mode ${mode.toString(8).padStart(4, '0')}`, `owner ${uid}:${gid}`];
  if (type === 'file') facts.push(bytesText(size));
  if (linkName !== undefined) facts.push(`-> ${linkName}`);
  return facts.join(', ');
}

function hidingText({ by, at }: Hiding, path: string): string {
  const where = at === path ? 'it' : at;
  switch (by) {
    case 'whiteout':
      return `deletes ${where}`;
    case 'opaque-folder':
      return `shows nothing of the layers below in ${where}`;
    case 'not-a-folder':
      return `has something that is no folder at ${where}`;
    case 'replacement':
      return 'has a version of its own';
  }
}

function findingText(finding: PathFinding, path: string): string {
  const parts: string[] = [];
  if (finding.file) parts.push(finding.implied ? 'a folder, made for what is in it' : fileText(finding.file));
  if (finding.role === 'seen') parts.push('this is what is seen');
  if (finding.role === 'merged') parts.push('its content shows, under the attributes of a layer above');
  if (finding.hiddenBy) {
    parts.push(
      `hidden by layer ${finding.hiddenBy.layer.index + 1}, which ${hidingText(finding.hiddenBy.hiding, path)}`,
    );
  }
  if (finding.hides && finding.hides.by !== 'replacement') {
    parts.push(
      `${hidingText(finding.hides, path)}${finding.hidesSomething ? '' : ', though no layer below has it'}`,
    );
  }
  return `  ${layerText(finding.layer)}: ${parts.join('; ')}`;
}

/** A path's explanation in plain words; every sentence says what the data says. */
export function renderPath(explanation: PathExplanation): string {
  const { path, asked, links, loops, seen, findings, deadBytes, write } = explanation;
  const lines = links.map((link) => `${link.path} is a link to ${link.target}, of layer ${link.layer + 1}.`);
  if (loops) {
    lines.push(`${asked} leads through links that go round in circles.`);
    return lines.join('\n');
  }
  if (seen) lines.push(`${path} comes from ${layerText(seen.layer)}.`);
  else if (findings.some(({ file }) => file)) lines.push(`${path} cannot be seen: a layer above hides it.`);
  else lines.push(`No layer has ${path}.`);
  lines.push(...findings.map((finding) => findingText(finding, path)));
  if (deadBytes > 0) lines.push(`${bytesText(deadBytes)} at this path are shipped and can never be seen.`);
  if (write && seen) lines.push(...writeText(write, seen.file));
  return lines.join('\n');
}

function writeText(write: NonNullable<PathExplanation['write']>, file: FileFacts): string[] {
  const lines: string[] = [];
  if (file.type === 'file') {
    lines.push(
      `The first write in a container copies ${bytesText(write.copyUpBytes)} up; so does a chmod, chown or touch.`,
    );
  }
  if (write.folders.length > 0) {
    lines.push(
      `A write in a container makes ${countText(write.folders.length, 'folder')} in its layer first: ${write.folders.join(', ')}.`,
    );
  }
  if (write.otherNames.length > 0) {
    lines.push(`The file has other names, which keep the old content: ${write.otherNames.join(', ')}.`);
  }
  return lines;
}

const causeText: Readonly<Record<WasteCause, string>> = {
  overwritten: 'overwritten by a layer above',
  'metadata-only': 'shipped again with the same content, since only attributes changed',
  deleted: 'deleted by a layer above',
  'replaced-in-layer': "replaced within the layer's own archive",
};

function groupText(group: WasteGroup): string[] {
  const { cause, layer, by, files, bytes, differs, largest } = group;
  const changed = differs.length > 0 ? ` (${differs.join(', ')})` : '';
  const what = `${countText(files, 'file')} of ${layerText(layer)}, ${bytesText(bytes)}: ${causeText[cause]}${changed}`;
  const culprit = cause === 'replaced-in-layer' ? '' : `, ${layerText(by)}`;
  const example = files === 1 ? `    ${largest}` : `    the largest: ${largest}`;
  return [`  ${what}${culprit}`, example, `    ${adviceFor(group).text}`];
}

export interface RenderOptions {
  /** How many groups, duplicates and whiteouts are shown of each. Default 10. */
  readonly limit?: number;
}

/** A ledger in plain words. */
export function renderLedger(ledger: WasteLedger, options: RenderOptions = {}): string {
  const { limit = 10 } = options;
  const { shippedBytes, seenBytes, wastedBytes, layers, groups, danglingWhiteouts, duplicates } = ledger;
  const share = shippedBytes === 0 ? 0 : (100 * wastedBytes) / shippedBytes;
  const lines = [
    `${countText(layers.length, 'layer')} ship ${bytesText(shippedBytes)}; ${bytesText(seenBytes)} can be seen.`,
    `${bytesText(wastedBytes)} can never be seen: ${share.toFixed(1)} %.`,
    '',
    ...layers.map(
      ({ layer, storedBytes, seenBytes: seen }) =>
        `  ${layerText(layer)}: ${bytesText(storedBytes)}${seen === storedBytes ? '' : `, of which ${bytesText(seen)} can be seen`}`,
    ),
  ];
  const section = (title: string, all: readonly string[][]): void => {
    if (all.length === 0) return;
    lines.push('', title, ...all.slice(0, limit).flat());
    if (all.length > limit) lines.push(`  and ${commas(all.length - limit)} more`);
  };
  section('Where the waste is:', groups.map(groupText));
  section(
    'The same content under several names (in a flattened image too):',
    duplicates.map(({ bytes, paths }) => [
      `  ${paths.length} times ${bytesText(bytes)}: ${paths.slice(0, 3).join(', ')}`,
    ]),
  );
  section(
    'Whiteouts that delete nothing:',
    danglingWhiteouts.map(({ layer, path }) => [`  ${path}, ${layerText(layer)}`]),
  );
  return lines.join('\n');
}
