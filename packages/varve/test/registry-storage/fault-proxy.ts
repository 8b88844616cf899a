import { type IncomingMessage, request, createServer, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** What becomes of one request: passed on, refused by a status, cut before, or done with the answer lost. */
export type Fate = 'pass' | number | 'cut' | 'lose-answer';

/** A proxy on the loopback address in front of a store, which does harm as told. */
export interface FaultProxy extends AsyncDisposable {
  readonly url: string;
  /** Asked for every request; passes all at the start. */
  decide: (method: string, path: string) => Fate;
  /** Requests that are not done. */
  readonly active: number;
  /** Bytes of answers passed on. */
  readonly answered: number;
  readonly requests: readonly string[];
}

export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const { hostname, port } = new URL(target);
  const requests: string[] = [];
  let answered = 0;
  let active = 0;
  const proxy = {
    decide: (): Fate => 'pass',
  } as { decide: (method: string, path: string) => Fate };

  const pass = (incoming: IncomingMessage, outgoing: ServerResponse, loseAnswer: boolean): void => {
    const { method, url, rawHeaders } = incoming;
    // The host stays: it is part of what is signed.
    const onward = request(
      { hostname, port, method, path: url, headers: rawHeaders, agent: false },
      (answer) => {
        if (loseAnswer) {
          answer.resume().once('end', () => incoming.socket.destroy());
          return;
        }
        outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
        answer.on('data', (chunk: Buffer) => (answered += chunk.length));
        answer.pipe(outgoing);
      },
    );
    // Swift's s3api answers HEAD with a body: what comes after the answer is no concern of the client's.
    onward.on('error', () => {
      if (!outgoing.headersSent) incoming.socket.destroy();
    });
    outgoing.once('close', () => onward.destroy());
    incoming.pipe(onward);
  };

  const server = createServer((incoming, outgoing) => {
    const { method = '', url = '' } = incoming;
    requests.push(`${method} ${url}`);
    active++;
    outgoing.once('close', () => active--);
    const fate = proxy.decide(method, url);
    if (fate === 'cut') incoming.socket.destroy();
    else if (typeof fate === 'number') {
      // Read first, as a gateway in front of a slow store does.
      incoming.resume().once('end', () => outgoing.writeHead(fate, { 'Content-Length': 0 }).end());
    } else pass(incoming, outgoing, fate === 'lose-answer');
  });
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return Object.defineProperties(proxy, {
    url: { value: `http://127.0.0.1:${(server.address() as AddressInfo).port}` },
    requests: { value: requests },
    active: { get: () => active },
    answered: { get: () => answered },
    [Symbol.asyncDispose]: {
      value: async () => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    },
  }) as FaultProxy;
}
