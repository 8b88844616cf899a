/**
 * A registry that serves what lies in a folder and believes nothing: `lying-registry.ts <folder>` prints its port.
 *
 *     <folder>/manifests/<name>/<tag or digest>   JSON: { type, base64, digest? }, the header as it is to be sent
 *     <folder>/blobs/<digest>                     bytes, sent as they are
 *     <folder>/blobs/<digest>.endless             sent again and again until the client goes
 */
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { digestOf } from '../../src/oci/index.ts';

const [folder = ''] = process.argv.slice(2);

function manifest(path: string, head: boolean, response: ServerResponse): void {
  const { type, base64, digest } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, string>;
  const bytes = Buffer.from(base64 ?? '', 'base64');
  response.writeHead(200, {
    'Content-Type': type,
    'Content-Length': bytes.length,
    'Docker-Content-Digest': digest ?? digestOf(bytes),
  });
  response.end(head ? undefined : bytes);
}

function blob(path: string, head: boolean, response: ServerResponse): void {
  if (existsSync(`${path}.endless`)) {
    const bytes = readFileSync(`${path}.endless`);
    response.writeHead(200);
    const more = (): void => {
      while (!response.destroyed && response.write(bytes));
    };
    response.on('drain', more);
    return more();
  }
  response.writeHead(200, { 'Content-Length': statSync(path).size });
  if (head) response.end();
  else createReadStream(path).pipe(response);
}

const server = createServer((request, response) => {
  const url = decodeURIComponent(request.url ?? '');
  const head = request.method === 'HEAD';
  const [, name, kind, reference] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(url) ?? [];
  if (url === '/v2/') return response.writeHead(200).end('{}');
  const path =
    kind === 'blobs'
      ? join(folder, 'blobs', reference ?? '')
      : join(folder, 'manifests', name ?? '', reference ?? '');
  if (kind === undefined || !(existsSync(path) || existsSync(`${path}.endless`)))
    return response.writeHead(404).end('{}');
  return kind === 'blobs' ? blob(path, head, response) : manifest(path, head, response);
});
server.listen(0, '127.0.0.1', () => console.log((server.address() as { port: number }).port));
