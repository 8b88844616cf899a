import { type Agent, type IncomingHttpHeaders, request } from 'node:http';

/** An answer, whole in memory. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The body as JSON; throws when it is none. */
  json(): unknown;
  /** Codes of an error body, empty for another. */
  codes(): string[];
}

export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array>;
  readonly agent?: Agent;
}

/**
 * One request with the path sent as it is written: `fetch` would tidy `..` away. A body in memory gets a
 * Content-Length, a stream is sent chunked.
 */
export function httpCall(
  base: string,
  method: string,
  path: string,
  options: CallOptions = {},
): Promise<Answer> {
  const { hostname, port } = new URL(base);
  const { body } = options;
  const fixed = typeof body === 'string' ? Buffer.from(body) : body instanceof Uint8Array ? body : undefined;
  const headers: Record<string, string> = { ...options.headers };
  if (fixed) headers['Content-Length'] ??= String(fixed.length);
  else if (body === undefined && method !== 'GET' && method !== 'HEAD') headers['Content-Length'] ??= '0';
  return new Promise<Answer>((resolve, reject) => {
    const outgoing = request(
      {
        hostname: hostname.replace(/^\[|\]$/g, ''),
        port,
        method,
        path,
        headers,
        agent: options.agent ?? false,
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('error', reject);
        incoming.on('end', () =>
          resolve(answer(incoming.statusCode ?? 0, incoming.headers, Buffer.concat(chunks))),
        );
      },
    );
    outgoing.on('error', reject);
    if (fixed || body === undefined) outgoing.end(fixed);
    else
      void sendStream(outgoing, body as AsyncIterable<Uint8Array>).catch((error: unknown) =>
        outgoing.destroy(error as Error),
      );
  });
}

async function sendStream(
  outgoing: ReturnType<typeof request>,
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  for await (const chunk of chunks) {
    if (!outgoing.write(chunk)) await new Promise<void>((resolve) => outgoing.once('drain', () => resolve()));
  }
  outgoing.end();
}

function answer(status: number, headers: IncomingHttpHeaders, body: Buffer): Answer {
  return {
    status,
    headers,
    body,
    json: () => JSON.parse(body.toString()) as unknown,
    codes: () => {
      try {
        const { errors } = JSON.parse(body.toString()) as { errors?: { code: string }[] };
        return (errors ?? []).map((error) => error.code);
      } catch {
        return [];
      }
    },
  };
}
