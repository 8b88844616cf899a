import { StringDecoder } from 'node:string_decoder';
import { shortId, VarveError } from '../base/index.ts';
import type { BuildEvent } from './types.ts';

/** The last line of a failed build; the code is that of the RUN that failed. */
function errorLine(error: unknown): string {
  const { code, message, data } = VarveError.from(error);
  const exitCode = code === 'RUN_FAILED' ? { code: data?.['exitCode'] } : {};
  const errorDetail = { ...exitCode, message };
  return `${JSON.stringify({ errorDetail, error: message })}\r\n`;
}

/** What is written to standard error comes in red, as moby sends it. */
const red = '\u001b[91m';
const plain = '\u001b[0m';

/** Why a step was not in the cache: a member that Docker's clients pass over. */
interface CacheNote {
  readonly hit: false;
  readonly reason: string;
}

const stream = (text: string, cache?: CacheNote): string =>
  `${JSON.stringify({ stream: text, ...(cache === undefined ? {} : { cache }) })}\r\n`;

/**
 * A build's events as the JSON lines of `POST /build?version=1` (moby's classic builder). A failure before the first
 * event is thrown, so that it can be an HTTP error; one after it is the last line.
 * Beside moby's members, the first line of a step that was not in the cache carries `cache.reason`.
 * @param options quiet leaves only the image's id, as `q=1` asks for.
 */
export async function* legacyProgress(
  events: AsyncIterable<BuildEvent>,
  options: { readonly quiet?: boolean } = {},
): AsyncGenerator<string, void, void> {
  const decoders = { 1: new StringDecoder('utf8'), 2: new StringDecoder('utf8') } as const;
  let started = false;
  let note: CacheNote | undefined;
  try {
    for await (const event of events) {
      started = true;
      if (options.quiet && event.type !== 'done') continue;
      if (event.type === 'cache' && !event.hit) note = { hit: false, reason: event.reason ?? '' };
      for (const line of lines(event, decoders, options.quiet === true, note)) yield line;
      if (event.type === 'image' || event.type === 'status') note = undefined;
    }
  } catch (error) {
    if (!started) throw error;
    yield errorLine(error);
  }
}

function* lines(
  event: BuildEvent,
  decoders: Readonly<Record<1 | 2, StringDecoder>>,
  quiet: boolean,
  note: CacheNote | undefined,
): Generator<string> {
  switch (event.type) {
    case 'step':
      yield stream(`Step ${event.index}/${event.total} : ${event.text}`);
      yield stream('\n');
      return;
    case 'cache':
      if (event.hit) yield stream(' ---> Using cache\n');
      return;
    case 'output': {
      const text = decoders[event.stream].write(event.data);
      if (text !== '') yield stream(event.stream === 2 ? `${red}${text}${plain}` : text);
      return;
    }
    case 'image':
    case 'status':
      yield stream(`${event.text}\n`, note);
      return;
    case 'warning':
      yield stream(`[Warning] ${event.message}\n`);
      return;
    case 'done':
      if (quiet) {
        yield stream(`${event.image}\n`);
        return;
      }
      yield `${JSON.stringify({ aux: { ID: event.image } })}\r\n`;
      yield stream(`Successfully built ${shortId(event.image)}\n`);
      for (const tag of event.tags) yield stream(`Successfully tagged ${tag}\n`);
      return;
  }
}
