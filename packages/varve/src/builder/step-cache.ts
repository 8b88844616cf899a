import { type ChainID, type DiffID, type Digest, digestOf, encodeJson } from '../oci/index.ts';
import type { State } from '../state/index.ts';

/** Everything a step's result depends on. Kept whole in the record, so that a later miss can be explained. */
export interface StepInputs {
  /** Digest of the image's state before: its layers and its configuration, without times and history. */
  readonly before: Digest;
  /** The instruction as written. */
  readonly text: string;
  /** The instruction as it will be carried out, variables expanded. */
  readonly effective: string;
  /** `NAME=value` of the build arguments in use. */
  readonly args: readonly string[];
  /** Digest of the files it takes in. */
  readonly content?: Digest;
  /** Those files by name, to a short digest of each. */
  readonly files?: Readonly<Record<string, string>>;
}

/** The files that COPY selects of a tree. */
export interface SelectionContent {
  readonly digest: Digest;
  readonly files: Readonly<Record<string, string>>;
  readonly shape: TransferShape;
}

/** How the history calls the sources of a COPY or ADD. */
export type TransferShape = 'file' | 'dir' | 'multi';

/** What a step gave. */
export interface StepResult {
  readonly image: Digest;
  readonly parentImage: Digest | undefined;
  /** undefined when it made no layer. */
  readonly diffId: DiffID | undefined;
  /** All layers of the image after the step. */
  readonly layers: readonly DiffID[];
  /** RFC 3339, of the history entry. */
  readonly created: string;
  readonly createdBy: string;
  /** Bytes of file content of its layer. */
  readonly size: number;
}

/** One record of the build cache. */
export interface CachedStep extends StepResult {
  readonly key: Digest;
  readonly text: string;
  /** Milliseconds since 1970. */
  readonly madeAt: number;
  readonly usedAt: number;
  readonly uses: number;
}

/** The key of a step: a digest over its inputs, the files' names aside (their digest covers them). */
export function stepKey(inputs: StepInputs): Digest {
  const { files: _named, ...rest } = inputs;
  return digestOf(encodeJson(rest));
}

type Row = Readonly<Record<string, unknown>>;

function readStep(row: Row): CachedStep {
  const optional = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  return {
    key: String(row['key']) as Digest,
    text: String(row['text']),
    image: String(row['image']) as Digest,
    parentImage: optional(row['parent_image']) as Digest | undefined,
    diffId: optional(row['diff_id']) as DiffID | undefined,
    layers: JSON.parse(String(row['layers'])) as readonly DiffID[],
    created: String(row['created']),
    createdBy: String(row['created_by']),
    size: Number(row['size']),
    madeAt: Number(row['made_at']),
    usedAt: Number(row['used_at']),
    uses: Number(row['uses']),
  };
}

/** The steps of all builds by key, in the record store: they outlive the daemon. */
export class StepCache {
  readonly #state: State;

  constructor(state: State) {
    this.#state = state;
  }

  get(key: Digest): CachedStep | undefined {
    const row = this.#state.prepare('SELECT * FROM builder_steps WHERE key = ?').get(key);
    return row ? readStep(row) : undefined;
  }

  /** Not durable by itself: a step whose record a power cut takes is built again. */
  put(inputs: StepInputs, result: StepResult): void {
    this.#state.transaction(() => this.#put(inputs, result), { durable: false });
  }

  #put(inputs: StepInputs, result: StepResult): void {
    const now = Date.now();
    this.#state
      .prepare(
        `INSERT OR REPLACE INTO builder_steps
         (key, before, text, inputs, image, parent_image, diff_id, layers, created, created_by, size, made_at, used_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(
        stepKey(inputs),
        inputs.before,
        inputs.text,
        encodeJson(inputs).toString(),
        result.image,
        result.parentImage ?? null,
        result.diffId ?? null,
        JSON.stringify(result.layers),
        result.created,
        result.createdBy,
        result.size,
        now,
        now,
      );
  }

  /** Notes a hit; `image` when the image had to be made anew. */
  used(key: Digest, image: Digest, parentImage: Digest | undefined): void {
    // Losing this to a power cut costs nothing, so a cached build does not wait for the disk.
    this.#state.transaction(() => this.#used(key, image, parentImage), { durable: false });
  }

  #used(key: Digest, image: Digest, parentImage: Digest | undefined): void {
    this.#state
      .prepare(
        'UPDATE builder_steps SET used_at = ?, uses = uses + 1, image = ?, parent_image = ? WHERE key = ?',
      )
      .run(Date.now(), image, parentImage ?? null, key);
  }

  list(): readonly CachedStep[] {
    return this.#state.prepare('SELECT * FROM builder_steps ORDER BY made_at').all().map(readStep);
  }

  /** Forgets steps and selections that no build has used since `time` (milliseconds since 1970). */
  expire(time: number): void {
    this.#state.transaction(
      () => {
        this.#state.prepare('DELETE FROM builder_steps WHERE used_at < ?').run(time);
        this.#state.prepare('DELETE FROM builder_selections WHERE seen_at < ?').run(time);
      },
      { durable: false },
    );
  }

  delete(key: Digest): void {
    this.#state.prepare('DELETE FROM builder_steps WHERE key = ?').run(key);
  }

  /** Inputs of the last step that is most like the one that missed: same text and state, same text, same state. */
  similar(inputs: StepInputs): StepInputs | undefined {
    const row =
      this.#state
        .prepare(
          'SELECT inputs FROM builder_steps WHERE before = ? AND text = ? ORDER BY made_at DESC LIMIT 1',
        )
        .get(inputs.before, inputs.text) ??
      this.#state
        .prepare('SELECT inputs FROM builder_steps WHERE text = ? ORDER BY made_at DESC LIMIT 1')
        .get(inputs.text) ??
      this.#state
        .prepare('SELECT inputs FROM builder_steps WHERE before = ? ORDER BY made_at DESC LIMIT 1')
        .get(inputs.before);
    return row ? (JSON.parse(String(row['inputs'])) as StepInputs) : undefined;
  }

  /** What a selection of files of a tree that never changes holds. */
  selection(tree: ChainID, selection: object): SelectionContent | undefined {
    const row = this.#state
      .prepare('SELECT digest, files FROM builder_selections WHERE selection = ?')
      .get(digestOf(encodeJson({ tree, selection })));
    return row ? (JSON.parse(String(row['files'])) as SelectionContent) : undefined;
  }

  putSelection(tree: ChainID, selection: object, content: SelectionContent): void {
    this.#state
      .prepare(
        'INSERT OR REPLACE INTO builder_selections (selection, digest, files, seen_at) VALUES (?, ?, ?, ?)',
      )
      .run(digestOf(encodeJson({ tree, selection })), content.digest, JSON.stringify(content), Date.now());
  }
}

/** Names at most three, and how many more. */
function some(names: readonly string[], what: string): string {
  const shown = names.slice(0, 3).join(', ');
  return names.length > 3 ? `${shown} and ${names.length - 3} more ${what}` : shown;
}

function filesReason(
  before: Readonly<Record<string, string>>,
  now: Readonly<Record<string, string>>,
): string | undefined {
  const changed = Object.keys(now).filter(
    (name) => Object.hasOwn(before, name) && before[name] !== now[name],
  );
  const added = Object.keys(now).filter((name) => !Object.hasOwn(before, name));
  const removed = Object.keys(before).filter((name) => !Object.hasOwn(now, name));
  const parts = [
    changed.length > 0 ? `content of ${some(changed, 'files')} changed` : '',
    added.length > 0 ? `${some(added, 'files')} added` : '',
    removed.length > 0 ? `${some(removed, 'files')} removed` : '',
  ].filter((part) => part !== '');
  return parts.length === 0 ? undefined : parts.join('; ');
}

function argsReason(before: readonly string[], now: readonly string[]): string | undefined {
  const names = new Set(
    [...before, ...now]
      .filter((arg) => before.includes(arg) !== now.includes(arg))
      .map((arg) => arg.split('=', 1)[0] ?? ''),
  );
  if (names.size === 0) return undefined;
  return `build argument ${some([...names], 'arguments')} changed`;
}

/** Says in one line why a step was not in the cache, from the inputs of the most similar one that was. */
export function explainMiss(inputs: StepInputs, similar: StepInputs | undefined): string {
  if (!similar) return 'this step was never built';
  if (similar.text !== inputs.text) return 'the instruction is new here';
  if (similar.before !== inputs.before) return 'an earlier step or the base image changed';
  return (
    filesReason(similar.files ?? {}, inputs.files ?? {}) ??
    argsReason(similar.args, inputs.args) ??
    (similar.content === inputs.content
      ? 'the values in the instruction changed'
      : 'content of the copied files changed')
  );
}
