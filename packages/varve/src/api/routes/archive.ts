import { pipeline } from 'node:stream/promises';
import { VarveError } from '../../base/index.ts';
import type { Exchange } from '../exchange.ts';
import type { Route } from '../route.ts';

function pathOf(exchange: Exchange): string {
  const path = exchange.query.text('path');
  if (path === '') throw new VarveError('invalid', 'EMPTY_PATH', 'bad parameter: path cannot be empty');
  return path;
}

async function exportAll(exchange: Exchange): Promise<void> {
  const archive = await exchange.engine.containers.export(exchange.parameter('id'), {
    signal: exchange.signal,
  });
  exchange.begin('application/x-tar');
  try {
    await pipeline(archive, exchange.response);
  } catch (error) {
    if (!exchange.signal.aborted) throw error;
  }
}

void pathOf;

export const archiveRoutes: readonly Route[] = [
  { method: 'GET', path: '/containers/{id}/export', handle: exportAll },
];
