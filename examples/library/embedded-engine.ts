/**
 * An engine inside a Node program: builds an image and runs it, with no daemon, no socket, and nothing left behind.
 * Needs root, conmon and runc.
 *   node examples/library/embedded-engine.ts root.tar
 */
import { createReadStream, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { composeEngine } from 'varve/compose';
import { encodeEnd, encodeHeader, paddingAfter } from 'varve/layer';

const [tar = 'root.tar'] = process.argv.slice(2);
const folder = mkdtempSync('/var/tmp/varve-example-');
{
  await using composed = await composeEngine(
    { 'data-root': join(folder, 'data'), 'exec-root': join(folder, 'run') },
    { version: 'example', log: () => undefined },
  );
  const { engine } = composed;
  await engine.images.import(createReadStream(tar), { reference: 'base' });

  const dockerfile = Buffer.from('FROM base\nRUN echo built > /greeting\nCMD ["cat", "/greeting"]\n');
  const none = Buffer.alloc(0);
  const header = encodeHeader({
    type: 'file',
    name: Buffer.from('Dockerfile'),
    linkName: none,
    mode: 0o644,
    uid: 0,
    gid: 0,
    userName: none,
    groupName: none,
    size: dockerfile.length,
    mtime: { seconds: 0, nanoseconds: 0 },
    deviceMajor: 0,
    deviceMinor: 0,
    xattrs: [],
  });
  const context = Readable.from([
    header,
    dockerfile,
    Buffer.alloc(paddingAfter(dockerfile.length)),
    encodeEnd(),
  ]);
  const events = engine.images.build(context, {
    dockerfile: { path: 'Dockerfile' },
    tags: ['greeter'],
    buildArgs: {},
    labels: {},
    noCache: false,
    cacheFrom: [],
    pull: false,
    networkMode: 'none',
    extraHosts: [],
  });
  for await (const event of events)
    if (event.type === 'step') console.log(`step ${event.index}: ${event.text}`);

  const { id } = await engine.containers.create({
    config: { Image: 'greeter' },
    hostConfig: { NetworkMode: 'none' },
  });
  await engine.containers.start(id);
  const ended = await engine.containers.wait(id, 'not-running').result;
  for await (const { data } of engine.containers.logs(id, { stdout: true, stderr: true }))
    process.stdout.write(data);
  console.log(`exit code ${ended?.exitCode}`);
  await engine.containers.remove(id, { force: true });
}
rmSync(folder, { recursive: true });
