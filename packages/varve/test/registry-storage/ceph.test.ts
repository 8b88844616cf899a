import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { atEnd } from '../../src/registry/testing/index.ts';
import { run, temporaryFolder } from '../registry/programs.ts';
import { DockerDaemon } from '../support/docker-daemon.ts';
import { type CephServer, cephMissing, startCeph } from './judges/ceph.ts';
import { serve, testServed } from './end-to-end.ts';
import { testFaults } from './fault-cases.ts';
import { newBucket, testS3 } from './s3-cases.ts';
import { testSwift } from './swift-cases.ts';

describe('Ceph', { skip: cephMissing }, () => {
  let server: CephServer;
  before(async () => {
    server = await startCeph();
  });
  after(() => server[Symbol.asyncDispose]());

  testS3('s3 on ceph', () => server);
  const swift = () => ({
    authUrl: `${server.url}/auth/v1.0`,
    user: server.swiftUser,
    password: server.swiftPassword,
  });
  // Ceph has no manifests of manifests.
  testSwift('swift on ceph', swift, 1000);
  const block = async (url: string) => ({ s3: { ...(await newBucket(server)), regionendpoint: url } });
  testFaults({ name: 's3 on ceph', url: () => server.url, configure: block });
  testServed({ name: 's3 on ceph', configure: () => block(server.url), redirects: true });

  test('s3 on ceph: docker pushes and pulls, sent to the store for every layer', async (t) => {
    const folder = temporaryFolder(t);
    const registry = await serve(t, join(folder, 'registry'), await block(server.url));
    // The daemon is started in a named namespace; this gives a name to the one that the store is in.
    const netns = `varve-${process.pid}`;
    run(['ip', 'netns', 'attach', netns, String(process.pid)]);
    atEnd(t, () => void run(['ip', 'netns', 'delete', netns]));
    const daemon = await DockerDaemon.start(netns, join(folder, 'docker'));
    if (typeof daemon === 'string') return t.skip(daemon);
    await using docker = daemon;
    const image = `${registry.host}/demo/docker:v1`;
    run(['tar', '--create', '--file', join(folder, 'root.tar'), '--directory', '/bin', 'busybox']);
    const id = docker.ok('import', join(folder, 'root.tar'), image);
    docker.ok('push', image);
    docker.ok('rmi', image);
    docker.ok('pull', image);
    assert.equal(docker.ok('image', 'inspect', '--format', '{{.Id}}', image), id);
  });
});
