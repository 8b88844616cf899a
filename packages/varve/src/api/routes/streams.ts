import { VarveError } from '../../base/index.ts';
import { type Attachment, parseTime } from '../../engine/index.ts';
import { DetachScanner, parseDetachKeys } from '../detach-keys.ts';
import type { Exchange } from '../exchange.ts';
import type { Connection } from '../hijack.ts';
import { drained, pumpInput } from '../pump.ts';
import type { Route } from '../route.ts';
import { failureAnswer } from '../status.ts';
import { frame, outputMediaType } from '../stdcopy.ts';
import { since } from '../versions.ts';

/** Writes a container's output to a connection, framed unless it has a terminal, until it or the client is gone. */
export async function pumpOutput(
  output: Attachment['output'],
  connection: Pick<Connection, 'output' | 'closed'>,
  tty: boolean,
): Promise<void> {
  for await (const { stream, data } of output) {
    if (connection.closed.aborted || connection.output.destroyed) return;
    if (!connection.output.write(tty ? data : frame(stream, data))) await drained(connection.output);
  }
}

async function attach(exchange: Exchange): Promise<void> {
  const { engine, query, version } = exchange;
  const id = exchange.parameter('id');
  const keys = parseDetachKeys(query.text('detachKeys'));
  const gone = new AbortController();
  const attachment = engine.containers.attach(id, {
    logs: query.flag('logs'),
    stream: query.flag('stream'),
    stdin: query.flag('stdin'),
    stdout: query.flag('stdout'),
    stderr: query.flag('stderr'),
    signal: gone.signal,
  });
  const { tty } = attachment;
  let connection: Connection;
  try {
    connection = await exchange.hijack(outputMediaType(tty, version >= since.streamMediaTypes));
  } catch (error) {
    attachment.close();
    throw error;
  }
  connection.closed.addEventListener('abort', () => gone.abort(), { once: true });
  if (connection.closed.aborted) gone.abort();
  const detach = (): void => attachment.close();
  attachment.input
    .then((input) =>
      pumpInput(connection.input, input, {
        ...(tty ? { scanner: new DetachScanner(keys) } : {}),
        onDetach: detach,
      }),
    )
    .catch(() => undefined);
  try {
    await pumpOutput(attachment.output, connection, tty);
  } catch (error) {
    const text = Buffer.from(`${failureAnswer(error).message}\r\n`);
    if (!gone.signal.aborted) connection.output.write(tty ? text : frame(3, text));
  } finally {
    attachment.close();
    connection.end();
  }
}

function logTime(text: string): number | undefined {
  if (text === '' || text === '0') return undefined;
  return parseTime(text) / 1000;
}

/** `all` and what is no number, or a negative one, mean all. */
function tailOf(text: string): number | undefined {
  return /^\d+$/.test(text) ? Number(text) : undefined;
}

async function logs(exchange: Exchange): Promise<void> {
  const { engine, query, version } = exchange;
  const id = exchange.parameter('id');
  const { Tty: tty } = engine.core.containers.resolve(id).record.config;
  const from = logTime(query.text('since'));
  const until = logTime(query.text('until'));
  const tail = tailOf(query.text('tail'));
  const timestamps = query.flag('timestamps');
  const lines = engine.containers.logs(id, {
    follow: query.flag('follow'),
    stdout: query.flag('stdout'),
    stderr: query.flag('stderr'),
    ...(from === undefined ? {} : { since: from }),
    ...(until === undefined ? {} : { until }),
    ...(tail === undefined ? {} : { tail }),
    signal: exchange.signal,
  });
  exchange.begin(outputMediaType(tty, version >= since.streamMediaTypes));
  for await (const { stream, timestamp, data } of lines) {
    const payload = timestamps ? Buffer.concat([Buffer.from(`${timestamp} `), data]) : data;
    if (!(await exchange.write(tty ? payload : frame(stream, payload)))) break;
  }
  exchange.response.end();
}

/** A terminal's size. @throws VarveError `invalid` in Docker's words. */
export function terminalSize(exchange: Exchange): { readonly rows: number; readonly columns: number } {
  const read = (name: string, what: string): number => {
    const text = exchange.query.text(name);
    if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
    throw new VarveError('invalid', 'INVALID_SIZE', `invalid resize ${what} "${text}": invalid syntax`);
  };
  return { rows: read('h', 'height'), columns: read('w', 'width') };
}

async function resize(exchange: Exchange): Promise<void> {
  const { rows, columns } = terminalSize(exchange);
  await exchange.engine.containers.resize(exchange.parameter('id'), rows, columns);
  exchange.sendStatus(200);
}

export const streamRoutes: readonly Route[] = [
  { method: 'POST', path: '/containers/{id}/attach', hijacks: true, handle: attach },
  { method: 'GET', path: '/containers/{id}/logs', handle: logs },
  { method: 'POST', path: '/containers/{id}/resize', handle: resize },
];
