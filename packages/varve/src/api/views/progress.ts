import { formatBytes, shortId } from '../../base/index.ts';
import type { TransferEvent } from '../../image/index.ts';

/** One line of a transfer's progress, as Docker's clients draw it. */
export interface ProgressLine {
  readonly status?: string;
  readonly id?: string;
  readonly progress?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
  readonly aux?: Readonly<Record<string, unknown>>;
}

/** `[=====>     ]  1.2MB/3MB` (moby pkg/jsonmessage draws 50 steps). */
export function progressBar(current: number, total: number): string {
  if (total <= 0) return formatBytes(current, 4);
  const steps = Math.min(50, Math.floor((current / total) * 50));
  const bar = `${'='.repeat(steps)}>${' '.repeat(50 - steps)}`.slice(0, 51);
  return `[${bar}]  ${formatBytes(Math.min(current, total), 4)}/${formatBytes(total, 4)}`;
}

const words: Readonly<Record<Extract<TransferEvent, { type: 'layer' }>['state'], string>> = {
  waiting: 'Waiting',
  preparing: 'Preparing',
  downloading: 'Downloading',
  verifying: 'Verifying Checksum',
  downloaded: 'Download complete',
  extracting: 'Extracting',
  complete: 'Pull complete',
  exists: 'Already exists',
  pushing: 'Pushing',
  pushed: 'Pushed',
  mounted: 'Mounted from',
  retrying: 'Retrying',
};

/** Turns a transfer's events into Docker's lines. One for each transfer: it remembers which layers it has named. */
export class TransferView {
  readonly #direction: 'pull' | 'push';
  readonly #seen = new Set<string>();

  constructor(direction: 'pull' | 'push') {
    this.#direction = direction;
  }

  /** Lines of one event about a layer; the other events are the caller's. */
  lines(event: Extract<TransferEvent, { type: 'layer' }>): ProgressLine[] {
    const id = shortId(event.digest);
    const lines: ProgressLine[] = [];
    const fresh = !this.#seen.has(id);
    this.#seen.add(id);
    if (fresh && this.#direction === 'pull' && event.state !== 'exists') {
      lines.push({ status: 'Pulling fs layer', progressDetail: {}, id });
    }
    if (event.state === 'exists' && this.#direction === 'push') {
      lines.push({ status: 'Layer already exists', progressDetail: {}, id });
      return lines;
    }
    if (event.state === 'mounted') {
      lines.push({ status: `Mounted from ${event.from ?? ''}`, progressDetail: {}, id });
      return lines;
    }
    if (event.state === 'retrying') {
      lines.push({
        status: `Retrying in ${event.wait ?? 1} second${event.wait === 1 ? '' : 's'}`,
        progressDetail: {},
        id,
      });
      return lines;
    }
    const { current, total } = event;
    const moving = ['downloading', 'extracting', 'pushing'].includes(event.state) && current !== undefined;
    lines.push({
      status: words[event.state],
      ...(moving
        ? {
            progressDetail: { current, ...(total === undefined ? {} : { total }) },
            progress: progressBar(current, total ?? 0),
          }
        : { progressDetail: {} }),
      id,
    });
    return lines;
  }
}
