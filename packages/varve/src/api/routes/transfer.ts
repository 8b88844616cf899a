import { pipeline } from 'node:stream/promises';
import { isKind, VarveError } from '../../base/index.ts';
import type { TransferEvent } from '../../image/index.ts';
import { familiarReference, parsePlatform, parseReference, withDefaultTag } from '../../oci/index.ts';
import type { Exchange } from '../exchange.ts';
import type { Route } from '../route.ts';
import { failureAnswer } from '../status.ts';
import { TransferView } from '../views/progress.ts';

const jsonLines = 'application/json';

/** A stream of progress lines whose head goes out with the first line: until then a failure is a plain HTTP error. */
class ProgressStream {
  readonly #exchange: Exchange;
  #begun = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  line(document: unknown): void {
    if (!this.#begun) this.#exchange.begin(jsonLines);
    this.#begun = true;
    this.#last = this.#exchange.line(document);
  }

  async end(): Promise<void> {
    if (!this.#begun) this.#exchange.begin(jsonLines);
    await this.#last;
    this.#exchange.response.end();
  }

  /** Tells the failure in the stream, or throws it when nothing has been sent. */
  async fail(error: unknown): Promise<void> {
    if (!this.#begun) throw error;
    const { message } = failureAnswer(error);
    this.line({ errorDetail: { message }, error: message });
    await this.end();
  }
}

function shown(reference: string): { readonly name: string; readonly tag: string; readonly whole: string } {
  const parsed = withDefaultTag(parseReference(reference));
  return {
    name: parsed.path,
    tag: parsed.digest ?? parsed.tag ?? 'latest',
    whole: familiarReference(parsed),
  };
}

/** `fromImage` with `tag`, which may be a digest; the name may end in a colon. */
function pullReference(exchange: Exchange): string {
  const { query } = exchange;
  const image = query.text('fromImage').replace(/:$/, '');
  const tag = query.text('tag');
  if (tag === '') return image;
  return tag.includes(':') ? `${image}@${tag}` : `${image}:${tag}`;
}

/** What a reference names here now; undefined for nothing. */
function idOf(exchange: Exchange, reference: string): string | undefined {
  try {
    return exchange.engine.core.images.resolve(reference).id;
  } catch (error) {
    if (isKind(error, 'not-found')) return undefined;
    throw error;
  }
}

async function pull(exchange: Exchange): Promise<void> {
  const reference = pullReference(exchange);
  const { name, tag, whole } = shown(reference);
  const stream = new ProgressStream(exchange);
  const view = new TransferView('pull');
  const { credentials, query } = exchange;
  let digest = '';
  const before = idOf(exchange, whole);
  const onEvent = (event: TransferEvent): void => {
    if (event.type === 'resolved') {
      digest = event.digest;
      stream.line({ status: `Pulling from ${name}`, id: tag });
    } else if (event.type === 'layer') for (const line of view.lines(event)) stream.line(line);
  };
  try {
    const image = await exchange.engine.images.pull(reference, {
      signal: exchange.signal,
      onEvent,
      ...(credentials ? { credentials } : {}),
      ...(query.text('platform') === '' ? {} : { platform: parsePlatform(query.text('platform')) }),
    });
    stream.line({ status: `Digest: ${digest}` });
    stream.line({
      status: `Status: ${image.id === before ? 'Image is up to date' : 'Downloaded newer image'} for ${whole}`,
    });
    await stream.end();
  } catch (error) {
    await stream.fail(error);
  }
}

async function importArchive(exchange: Exchange): Promise<void> {
  const { query } = exchange;
  if (query.text('fromSrc') !== '-') {
    throw new VarveError('not-implemented', 'IMPORT_URL', 'importing from a URL is not supported', {
      hint: 'download it and pipe it in: `docker import - name`',
    });
  }
  const repository = query.text('repo');
  const tag = query.text('tag');
  const changes = query.all('changes');
  const image = await exchange.engine.images.import(
    exchange.body(),
    {
      ...(repository === '' ? {} : { reference: tag === '' ? repository : `${repository}:${tag}` }),
      message: query.text('message'),
      ...(query.text('platform') === '' ? {} : { platform: parsePlatform(query.text('platform')) }),
      signal: exchange.signal,
    },
    changes,
  );
  exchange.begin(jsonLines);
  await exchange.line({ status: image.id });
  exchange.response.end();
}

async function create(exchange: Exchange): Promise<void> {
  if (exchange.query.text('fromImage') !== '') await pull(exchange);
  else await importArchive(exchange);
}

async function push(exchange: Exchange): Promise<void> {
  const { engine, query, credentials } = exchange;
  const name = exchange.parameter('name');
  const reference = query.text('tag') === '' ? name : `${name}:${query.text('tag')}`;
  const { tag } = shown(reference);
  const parsed = parseReference(reference);
  const stream = new ProgressStream(exchange);
  const view = new TransferView('push');
  engine.core.images.resolve(familiarReference(withDefaultTag(parsed)));
  stream.line({ status: `The push refers to repository [${parsed.domain}/${parsed.path}]` });
  try {
    const descriptor = await engine.images.push(reference, {
      signal: exchange.signal,
      ...(credentials ? { credentials } : {}),
      onEvent: (event) => {
        if (event.type === 'layer') for (const line of view.lines(event)) stream.line(line);
      },
    });
    stream.line({ status: `${tag}: digest: ${descriptor.digest} size: ${descriptor.size}` });
    stream.line({ progressDetail: {}, aux: { Tag: tag, Digest: descriptor.digest, Size: descriptor.size } });
    await stream.end();
  } catch (error) {
    await stream.fail(error);
  }
}

async function load(exchange: Exchange): Promise<void> {
  const stream = new ProgressStream(exchange);
  try {
    const loaded = await exchange.engine.images.load(exchange.body(), { signal: exchange.signal });
    for (const { image, reference } of loaded) {
      stream.line({
        stream:
          reference === undefined
            ? `Loaded image ID: ${image.id}\n`
            : `Loaded image: ${familiarReference(parseReference(reference))}\n`,
      });
    }
    await stream.end();
  } catch (error) {
    const { message } = failureAnswer(error);
    // dockerd has sent its head by then: a bad archive is told in the stream.
    stream.line({ errorDetail: { message }, error: message });
    await stream.end();
  }
}

async function save(exchange: Exchange, names: readonly string[]): Promise<void> {
  const archive = exchange.engine.images.save(names, exchange.signal);
  exchange.begin('application/x-tar');
  try {
    await pipeline(archive, exchange.response);
  } catch (error) {
    if (!exchange.signal.aborted) throw error;
  }
}

export const transferRoutes: readonly Route[] = [
  { method: 'POST', path: '/images/create', handle: create },
  { method: 'POST', path: '/images/load', handle: load },
  {
    method: 'GET',
    path: '/images/get',
    handle: (exchange) => save(exchange, exchange.query.all('names')),
  },
  {
    method: 'GET',
    path: '/images/{name...}/get',
    handle: (exchange) => save(exchange, [exchange.parameter('name')]),
  },
  { method: 'POST', path: '/images/{name...}/push', handle: push },
];
