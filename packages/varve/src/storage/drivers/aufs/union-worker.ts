import { readSync, writeFileSync, writeSync } from 'node:fs';
import { VarveError } from '../../../base/index.ts';
import { closeFd, copyDescriptor, dropCapabilities, Poller } from '../../../linux/index.ts';
import { UnionSession } from './union/serve-union.ts';
import { Lines, type ServeOrder, type ServerReport, serverPipes } from './union-protocol.ts';

/*
 * The process that serves union mounts, all in one thread: it waits for requests of any of them and for orders of the engine
 * that started it. When that is gone it goes on with the mounts that it has, and ends with the last of them.
 */

interface Served {
  readonly id: number;
  readonly session: UnionSession;
  readonly lock: number;
}

const served = new Map<number, Served>();
const poller = new Poller();
const lines = new Lines();
const chunk = Buffer.alloc(64 << 10);
let hasEngine = true;

function report(message: ServerReport): void {
  try {
    writeSync(serverPipes.reports, `${JSON.stringify(message)}\n`);
  } catch {
    // The engine is gone; the next one finds the mounts by themselves.
  }
}

function readOrders(): void {
  const length = readSync(serverPipes.orders, chunk);
  if (length === 0) {
    hasEngine = false;
    poller.remove(serverPipes.orders);
    return;
  }
  for (const line of lines.push(chunk.subarray(0, length))) obey(JSON.parse(line) as ServeOrder);
}

function obey(order: ServeOrder): void {
  const { id } = order;
  try {
    serve(order);
    report({ id, event: 'serving' });
  } catch (error) {
    const { code, message } = VarveError.from(error);
    report({ id, event: 'failed', code, message });
  }
}

function serve({ id, engine, ...order }: ServeOrder): void {
  const copies: number[] = [];
  try {
    const connection = copyDescriptor(engine, order.connection);
    copies.push(connection);
    const lock = copyDescriptor(engine, order.lock);
    copies.push(lock);
    served.set(connection, { id, session: UnionSession.open(connection, order), lock });
    poller.add(connection);
  } catch (error) {
    copies.forEach(closeFd);
    throw error;
  }
}

function end(connection: number, { id, session, lock }: Served): void {
  poller.remove(connection);
  served.delete(connection);
  session.close();
  closeFd(connection);
  closeFd(lock);
  report({ id, event: 'gone' });
}

// Who is short of memory must not get it by breaking containers' roots; conmon does the same for itself.
try {
  writeFileSync('/proc/self/oom_score_adj', '-900');
} catch {
  // Not ours to decide in a container of our own.
}
// A quota does not hold for who has it; overlayfs gives it up for the same reason.
dropCapabilities(['CAP_SYS_RESOURCE']);
process.umask(0);
poller.add(serverPipes.orders);
while (hasEngine || served.size > 0) {
  for (const fd of poller.wait()) {
    const one = served.get(fd);
    if (fd === serverPipes.orders) readOrders();
    else if (one && !one.session.step()) end(fd, one);
  }
}
