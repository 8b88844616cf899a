import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { VarveError } from '../../base/index.ts';
import type { PathStat } from '../../engine/index.ts';
import type { Exchange } from '../exchange.ts';
import type { Route } from '../route.ts';

function pathOf(exchange: Exchange): string {
  const path = exchange.query.text('path');
  if (path === '') throw new VarveError('invalid', 'EMPTY_PATH', 'bad parameter: path cannot be empty');
  return path;
}

function setStat(exchange: Exchange, stat: PathStat): void {
  const header = Buffer.from(JSON.stringify(stat)).toString('base64');
  exchange.response.setHeader('X-Docker-Container-Path-Stat', header);
}

async function sendTar(exchange: Exchange, archive: Readable): Promise<void> {
  exchange.begin('application/x-tar');
  try {
    await pipeline(archive, exchange.response);
  } catch (error) {
    if (!exchange.signal.aborted) throw error;
  }
}

async function head(exchange: Exchange): Promise<void> {
  setStat(exchange, await exchange.engine.containers.statPath(exchange.parameter('id'), pathOf(exchange)));
  exchange.sendStatus(200);
}

async function get(exchange: Exchange): Promise<void> {
  const { stat, archive } = await exchange.engine.containers.copyFrom(
    exchange.parameter('id'),
    pathOf(exchange),
    {
      signal: exchange.signal,
    },
  );
  setStat(exchange, stat);
  await sendTar(exchange, archive);
}

async function put(exchange: Exchange): Promise<void> {
  const { query } = exchange;
  await exchange.engine.containers.copyTo(exchange.parameter('id'), pathOf(exchange), exchange.body(), {
    noOverwriteDirNonDir: query.flag('noOverwriteDirNonDir'),
    copyUidGid: query.flag('copyUIDGID'),
    signal: exchange.signal,
  });
  exchange.sendStatus(200);
}

async function exportAll(exchange: Exchange): Promise<void> {
  const { signal } = exchange;
  await sendTar(exchange, await exchange.engine.containers.export(exchange.parameter('id'), { signal }));
}

export const archiveRoutes: readonly Route[] = [
  { method: 'HEAD', path: '/containers/{id}/archive', handle: head },
  { method: 'GET', path: '/containers/{id}/archive', handle: get },
  { method: 'PUT', path: '/containers/{id}/archive', handle: put },
  { method: 'GET', path: '/containers/{id}/export', handle: exportAll },
];
