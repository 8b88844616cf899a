import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { atEnd } from '../../src/registry/testing/index.ts';

/** A way to a registry that lets so many bytes of each answer for a blob through, and the rest when it is released. */
export interface HeldRelay {
  readonly url: string;
  /** Bytes of a blob that pass while it is held. */
  heldAt: number;
  /** GETs of blobs, by path. */
  readonly asked: readonly string[];
  release(): void;
}

export async function startHeldRelay(t: TestContext, target: string): Promise<HeldRelay> {
  const { hostname, port } = new URL(target);
  const asked: string[] = [];
  const gate = Promise.withResolvers<void>();
  const relay = { heldAt: Number.POSITIVE_INFINITY, asked, release: gate.resolve, url: '' };

  const forward = async (answer: IncomingMessage, outgoing: ServerResponse, held: boolean): Promise<void> => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
    let passed = 0;
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      const room = held ? Math.max(0, relay.heldAt - passed) : chunk.length;
      outgoing.write(chunk.subarray(0, room));
      if (room < chunk.length) {
        await gate.promise;
        outgoing.write(chunk.subarray(room));
      }
      passed += chunk.length;
      if (outgoing.writableNeedDrain) await new Promise((resolve) => outgoing.once('drain', resolve));
    }
    outgoing.end();
  };
  const server = createServer((incoming, outgoing) => {
    const { method = '', url = '', headers } = incoming;
    const isBlob = method === 'GET' && url.includes('/blobs/');
    if (isBlob) asked.push(url);
    const onward = request({ hostname, port, method, path: url, headers, agent: false }, (answer) => {
      forward(answer, outgoing, isBlob).catch(() => outgoing.destroy());
    });
    onward.on('error', () => outgoing.destroy());
    outgoing.once('close', () => onward.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  atEnd(t, async () => {
    gate.resolve();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  relay.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return relay;
}
