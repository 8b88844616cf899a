import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { digestOf } from '../../src/oci/index.ts';
import type { RegistryConfigInput } from '../../src/registry/index.ts';
import { openStorage } from '../../src/registry/storage/index.ts';
import { configSchema } from '../../src/registry/config/index.ts';
import { atEnd, eventually, httpCall, TestClient } from '../../src/registry/testing/index.ts';
import { makeImage, temporaryFolder } from '../registry/programs.ts';

type StorageBlock = NonNullable<RegistryConfigInput['storage']>;

/** A backend to run a whole registry on. */
export interface ServedBackend {
  readonly name: string;
  readonly configure: () => Promise<StorageBlock>;
  /** Whether readers are sent to the store itself. */
  readonly redirects: boolean;
}

interface Server {
  readonly url: string;
  readonly host: string;
  readonly lines: Interface;
  signal(name: NodeJS.Signals): void;
  kill(): Promise<void>;
}

/** Runs a program; the store may be in this process, so that must not stand still. */
async function command([program = '', ...rest]: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(program, rest, { timeout: 120_000 });
  return stdout;
}

/** A registry over a storage, as a process of its own. */
export async function serve(t: TestContext, root: string, storage: StorageBlock): Promise<Server> {
  const child: ChildProcess = spawn(
    process.execPath,
    [join(import.meta.dirname, 'serve.ts'), root, JSON.stringify(storage)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  assert.ok(child.stdout);
  const lines = createInterface({ input: child.stdout });
  const url = await new Promise<string>((resolve, reject) => {
    lines.once('line', resolve);
    child.once('exit', (code) => reject(new Error(`the registry ended: ${code}`)));
  });
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await gone;
  };
  atEnd(t, kill);
  return { url, host: new URL(url).host, lines, signal: (name) => void child.kill(name), kill };
}

/** The registry over one backend, with the clients that people have. */
export function testServed(backend: ServedBackend): void {
  const { name } = backend;

  test(`${name}: skopeo pushes and pulls; what is deleted is collected`, async (t) => {
    const folder = temporaryFolder(t);
    const storage = await backend.configure();
    const server = await serve(t, join(folder, 'registry'), storage);
    const reference = `docker://${server.host}/demo/app:v1`;
    await command(['skopeo', 'copy', '--dest-tls-verify=false', makeImage(folder), reference]);
    const { Layers, Digest } = JSON.parse(
      await command(['skopeo', 'inspect', '--tls-verify=false', reference]),
    ) as {
      readonly Layers: readonly string[];
      readonly Digest: string;
    };
    const blob = await httpCall(server.url, 'GET', `/v2/demo/app/blobs/${Layers[0]}`);
    assert.equal(blob.status, backend.redirects ? 307 : 200);
    if (backend.redirects) {
      const bytes = Buffer.from(await (await fetch(String(blob.headers.location))).arrayBuffer());
      assert.equal(digestOf(bytes), Layers[0]);
    }
    const head = await httpCall(server.url, 'HEAD', `/v2/demo/app/blobs/${Layers[0]}`);
    assert.equal(head.status, 200);
    await command(['skopeo', 'copy', '--src-tls-verify=false', reference, `oci:${join(folder, 'back')}:v1`]);
    const back = JSON.parse(await command(['skopeo', 'inspect', `oci:${join(folder, 'back')}:v1`])) as {
      Digest: string;
    };
    assert.equal(back.Digest, Digest);

    await command(['skopeo', 'delete', '--tls-verify=false', reference]);
    const collected = new Promise<string>((resolve) => server.lines.once('line', resolve));
    server.signal('SIGUSR2');
    assert.equal(await collected, `collected ${Layers.length + 1}`);
    const { storage: config } = configSchema.parse({ storage });
    const opened = await openStorage(config, '/nonexistent');
    for await (const { digest } of opened.list()) assert.fail(`${digest} is left`);
    await opened.close();
  });

  test(`${name}: an upload goes on after the server was killed in the middle of it`, async (t) => {
    const folder = temporaryFolder(t);
    const storage = await backend.configure();
    const root = join(folder, 'registry');
    let server = await serve(t, root, storage);
    const bytes = randomBytes(20 * 1024 * 1024);
    const path = await new TestClient(server.url).startUpload('demo/big');
    const first = await httpCall(server.url, 'PATCH', path, { body: bytes.subarray(0, 1_000_000) });
    assert.equal(first.status, 202);
    // A second chunk that never ends, until the server is gone.
    const { hostname, port } = new URL(server.url);
    const sending = request({ hostname, port, method: 'PATCH', path });
    sending.on('error', () => undefined);
    sending.write(bytes.subarray(1_000_000, 15_000_000));
    const id = path.split('/').at(-1) ?? '';
    const { storage: config } = configSchema.parse({ storage });
    const watcher = await openStorage(config, root);
    await eventually(async () => {
      for await (const upload of watcher.uploads()) if (upload.id === id) return true;
      return false;
    }, 'the upload is in the store');
    await server.kill();

    server = await serve(t, root, storage);
    const status = await httpCall(server.url, 'GET', path);
    assert.equal(status.status, 204);
    const offset = Number(/^0-(\d+)$/.exec(String(status.headers['range']))?.[1]) + 1;
    assert.ok(offset >= 1_000_000 && offset <= 15_000_000, `${offset}`);
    const digest = digestOf(bytes);
    const rest = await httpCall(server.url, 'PATCH', path, {
      body: bytes.subarray(offset),
      headers: { 'Content-Range': `${offset}-${bytes.length - 1}` },
    });
    assert.equal(rest.status, 202, rest.body.toString());
    const done = await httpCall(server.url, 'PUT', `${path}?digest=${digest}`);
    assert.equal(done.status, 201, done.body.toString());
    const read = await fetch(`${server.url}/v2/demo/big/blobs/${digest}`);
    assert.equal(digestOf(Buffer.from(await read.arrayBuffer())), digest);
    for await (const upload of watcher.uploads()) assert.fail(`upload ${upload.id} is left`);
    await watcher.close();
  });
}
