import { formatBytes, shortId } from '../../base/index.ts';
import type { TransferEvent } from '../../image/index.ts';

type LayerEvent = Extract<TransferEvent, { type: 'layer' }>;

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

const words: Readonly<Record<LayerEvent['state'], string>> = {
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

/**
 * Turns a transfer's events into Docker's lines; one for each transfer. A layer of a pull that waits is named only when
 * something is downloaded, since until then it may turn out to be here already.
 */
export class TransferView {
  readonly #direction: 'pull' | 'push';
  readonly #waiting = new Set<string>();
  readonly #named = new Set<string>();

  constructor(direction: 'pull' | 'push') {
    this.#direction = direction;
  }

  /** Lines of one event about a layer; the other events are the caller's. */
  lines(event: LayerEvent): ProgressLine[] {
    const id = shortId(event.digest);
    if (this.#direction === 'push') return [line(event, id, this.#direction)];
    if (event.state === 'waiting') {
      this.#waiting.add(id);
      return [];
    }
    this.#waiting.delete(id);
    if (event.state === 'exists') return [line(event, id, this.#direction)];
    const lines = [id, ...this.#waiting].flatMap((layer) => this.#name(layer));
    for (const layer of this.#waiting) lines.push({ status: 'Waiting', progressDetail: {}, id: layer });
    this.#waiting.clear();
    return [...lines, line(event, id, this.#direction)];
  }

  #name(id: string): ProgressLine[] {
    if (this.#named.has(id)) return [];
    this.#named.add(id);
    return [{ status: 'Pulling fs layer', progressDetail: {}, id }];
  }
}

function status(event: LayerEvent, direction: 'pull' | 'push'): string {
  if (event.state === 'exists' && direction === 'push') return 'Layer already exists';
  if (event.state === 'mounted') return `Mounted from ${event.from ?? ''}`;
  if (event.state === 'retrying')
    return `Retrying in ${event.wait ?? 1} second${event.wait === 1 ? '' : 's'}`;
  return words[event.state];
}

function line(event: LayerEvent, id: string, direction: 'pull' | 'push'): ProgressLine {
  const { current, total } = event;
  const moving = ['downloading', 'extracting', 'pushing'].includes(event.state);
  if (!moving || current === undefined) return { status: status(event, direction), progressDetail: {}, id };
  return {
    status: status(event, direction),
    progressDetail: { current, ...(total === undefined ? {} : { total }) },
    progress: progressBar(current, total ?? 0),
    id,
  };
}
