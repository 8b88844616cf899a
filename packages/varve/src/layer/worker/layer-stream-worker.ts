import { parentPort } from 'node:worker_threads';
import { toPlainError } from './protocol.ts';
import { type Session, startSession } from './sessions.ts';
import type { SessionReply, SessionRequest, StreamMessage } from './stream-protocol.ts';

/** The entry file of a thread for streams. It takes one piece of one stream at a time, so many streams share it. */
const port = parentPort;
if (!port) throw new Error('this file is a worker’s');

const sessions = new Map<number, Session>();

function close(id: number): void {
  sessions.get(id)?.close();
  sessions.delete(id);
}

function handle(request: SessionRequest): unknown {
  if (request.type === 'start') {
    sessions.set(request.id, startSession(request.start));
    return undefined;
  }
  const session = sessions.get(request.id);
  // Failed before; what was on its way is passed over.
  if (!session) return undefined;
  switch (request.type) {
    case 'chunk':
      session.chunk(request.data);
      return new Uint8Array(request.data.buffer);
    case 'pull': {
      const data = session.pull();
      if (!data) close(request.id);
      return data;
    }
    case 'end': {
      const value = session.end();
      close(request.id);
      return value;
    }
    case 'cancel':
      return undefined;
  }
}

port.on('message', (request: StreamMessage) => {
  if (request === 'end') {
    port.close();
    return;
  }
  if (request.type === 'cancel') {
    close(request.id);
    return;
  }
  let reply: SessionReply;
  try {
    reply = { id: request.id, value: handle(request) };
  } catch (error) {
    close(request.id);
    reply = { id: request.id, error: toPlainError(error) };
  }
  const { value } = reply as { value?: unknown };
  port.postMessage(reply, value instanceof Uint8Array ? [value.buffer as ArrayBuffer] : []);
});
