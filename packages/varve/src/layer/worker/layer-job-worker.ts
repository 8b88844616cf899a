import { parentPort } from 'node:worker_threads';
import { runJob } from './jobs.ts';
import { type JobReply, type PoolMessage, toPlainError } from './protocol.ts';

/** The entry file of a thread of the pool. */
const port = parentPort;
if (!port) throw new Error('this file is a worker’s');

port.on('message', (request: PoolMessage) => {
  if (request === 'end') {
    port.close();
    return;
  }
  let reply: JobReply;
  try {
    reply = { id: request.id, result: runJob(request) };
  } catch (error) {
    reply = { id: request.id, error: toPlainError(error) };
  }
  port.postMessage(reply);
});
