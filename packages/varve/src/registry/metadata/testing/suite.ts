import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Digest, digestOf, mediaTypes } from '../../../oci/index.ts';
import type { MetadataStore, NewManifest, ReviewKind } from '../index.ts';

/** A manifest of a few bytes that names what `more` says. */
export function testManifest(name: string, more: Partial<NewManifest> = {}): NewManifest {
  const bytes = Buffer.from(name);
  return {
    digest: digestOf(bytes),
    mediaType: mediaTypes.ociManifest,
    size: bytes.length,
    bytes,
    blobs: [],
    optionalBlobs: [],
    children: [],
    ...more,
  };
}

const all = { limit: 1000 };

/** What every store of the registry's records must do. @param open gives an empty one; it is closed by the test. */
export function testMetadata(open: () => Promise<MetadataStore>): void {
  const cases = (name: string, work: (metadata: MetadataStore) => Promise<void>): void => {
    test(name, async () => {
      const metadata = await open();
      try {
        await work(metadata);
      } finally {
        await metadata.close();
      }
    });
  };
  const blob = (name: string, size = 10) => ({ digest: digestOf(name), size });

  cases('knows a blob in the repositories that have it, and in no other', async (metadata) => {
    await metadata.addBlob('a', blob('x'));
    assert.equal((await metadata.blob('a', digestOf('x')))?.size, 10);
    assert.equal(await metadata.blob('b', digestOf('x')), undefined);
    assert.equal(await metadata.linkBlob('b', digestOf('x')), true);
    assert.equal(await metadata.linkBlob('b', digestOf('nothing')), false);
    assert.deepEqual((await metadata.repositoriesOfBlob(digestOf('x'), 10)).toSorted(), ['a', 'b']);
    assert.equal(await metadata.removeBlob('b', digestOf('x')), 'deleted');
    assert.equal(await metadata.removeBlob('b', digestOf('x')), 'unknown');
    assert.deepEqual(await metadata.repositoriesOfBlob(digestOf('x'), 10), ['a']);
  });

  cases('lists names by their bytes, page by page', async (metadata) => {
    for (const name of ['b', 'a/c', 'a-b', 'a']) await metadata.addBlob(name, blob('x'));
    assert.deepEqual(await metadata.repositories(all), ['a', 'a-b', 'a/c', 'b']);
    assert.deepEqual(await metadata.repositories({ after: 'a-b', limit: 1 }), ['a/c']);
    await metadata.putManifest('a', testManifest('m'), ['v2', 'V1', 'v10', '_']);
    assert.deepEqual(await metadata.tags('a', all), ['V1', '_', 'v10', 'v2']);
    assert.deepEqual(await metadata.tags('a', { after: '_', limit: 1 }), ['v10']);
  });

  cases('takes a manifest with all its blobs or not at all', async (metadata) => {
    const layers = [blob('one'), blob('two')];
    await metadata.addBlob('a', blob('one'));
    await assert.rejects(
      async () => metadata.putManifest('a', testManifest('m', { blobs: layers }), ['v1']),
      {
        code: 'MANIFEST_BLOB_UNKNOWN',
        details: [{ digest: digestOf('two') }],
      },
    );
    assert.deepEqual(await metadata.tags('a', all), []);
    await metadata.addBlob('a', blob('two', 11));
    await assert.rejects(
      async () => metadata.putManifest('a', testManifest('m', { blobs: layers }), ['v1']),
      {
        code: 'SIZE_INVALID',
      },
    );
    await metadata.putManifest('a', testManifest('m', { blobs: [blob('one'), blob('two', 11)] }), ['v1']);
    assert.equal((await metadata.manifestByTag('a', 'v1'))?.digest, digestOf('m'));
    assert.deepEqual(
      Buffer.from((await metadata.manifestContent('a', digestOf('m'))) ?? []),
      Buffer.from('m'),
    );
    assert.equal(await metadata.removeBlob('a', digestOf('one')), 'referenced');
    assert.deepEqual(await metadata.manifestsOfBlob('a', digestOf('one')), [digestOf('m')]);
    assert.deepEqual(await metadata.manifestsOfBlob('b', digestOf('one')), []);
    assert.equal(await metadata.removeManifest('a', digestOf('m')), 'deleted');
    assert.equal(await metadata.manifestByTag('a', 'v1'), undefined);
    assert.equal(await metadata.removeBlob('a', digestOf('one')), 'deleted');
  });

  cases('moves a tag, and removes it alone', async (metadata) => {
    await metadata.putManifest('a', testManifest('m1'), ['v1', 'latest']);
    await metadata.putManifest('a', testManifest('m2'), ['latest']);
    assert.equal((await metadata.manifestByTag('a', 'latest'))?.digest, digestOf('m2'));
    assert.equal(await metadata.removeTag('a', 'latest'), 'deleted');
    assert.equal(await metadata.removeTag('a', 'latest'), 'unknown');
    assert.equal((await metadata.manifestByDigest('a', digestOf('m2')))?.size, 2);
  });

  cases('never moves nor drops an immutable tag', async (metadata) => {
    const rules = { immutable: (tag: string) => tag.startsWith('v') };
    await metadata.putManifest('a', testManifest('m1'), ['v1', 'latest'], rules);
    await metadata.putManifest('a', testManifest('m1'), ['v1'], rules);
    await assert.rejects(async () => metadata.putManifest('a', testManifest('m2'), ['latest', 'v1'], rules), {
      code: 'DENIED',
      status: 409,
    });
    assert.equal((await metadata.manifestByTag('a', 'latest'))?.digest, digestOf('m1'));
    assert.equal(await metadata.manifestByDigest('a', digestOf('m2')), undefined);
    assert.equal(await metadata.removeManifest('a', digestOf('m1'), rules), 'immutable');
    assert.equal(await metadata.removeTag('a', 'latest', { unchangedSince: 1 }), 'unknown');
  });

  cases('gives referrers by digest, by type, with annotations', async (metadata) => {
    const subject = digestOf('subject');
    await metadata.putManifest(
      'a',
      testManifest('s1', { subject, artifactType: 'x/sig', annotations: { a: 'b' } }),
      [],
    );
    await metadata.putManifest('a', testManifest('s2', { subject, artifactType: 'x/sbom' }), []);
    const found = await metadata.referrers('a', subject, all);
    assert.deepEqual(
      found.map(({ digest }) => digest),
      [digestOf('s1'), digestOf('s2')].toSorted(),
    );
    assert.equal(await metadata.subjectOf('a', digestOf('s1')), subject);
    assert.equal(await metadata.subjectOf('a', digestOf('none')), undefined);
    const [signature] = await metadata.referrers('a', subject, { ...all, artifactType: 'x/sig' });
    assert.deepEqual(signature, {
      mediaType: mediaTypes.ociManifest,
      digest: digestOf('s1'),
      size: 2,
      artifactType: 'x/sig',
      annotations: { a: 'b' },
    });
  });

  cases(
    'bills a repository for each blob and manifest once, and a namespace for its repositories',
    async (metadata) => {
      const limits = [{ scope: 'repository', name: 'team/a', bytes: 60 } as const];
      await metadata.addBlob('team/a', blob('x', 40), { limits });
      await metadata.addBlob('team/a', blob('x', 40), { limits });
      await metadata.putManifest('team/a', testManifest('m', { blobs: [blob('x', 40)] }), ['v1'], { limits });
      await metadata.linkBlob('team/b', digestOf('x'));
      await metadata.addBlob('teammates', blob('y', 7));
      assert.equal(await metadata.usedBytes('repository', 'team/a'), 41);
      assert.equal(await metadata.usedBytes('namespace', 'team'), 81);
      await assert.rejects(async () => metadata.addBlob('team/a', blob('z', 20), { limits }), {
        code: 'DENIED',
      });
      assert.equal(await metadata.blob('team/a', digestOf('z')), undefined);
      assert.deepEqual(await metadata.usages({ ...all, after: 'team/a' }), [
        { repository: 'team/b', bytes: 40 },
        { repository: 'teammates', bytes: 7 },
      ]);
      await metadata.removeManifest('team/a', digestOf('m'));
      await metadata.removeBlob('team/a', digestOf('x'));
      assert.equal(await metadata.usedBytes('repository', 'team/a'), 0);
    },
  );

  cases('remembers when tags were pulled', async (metadata) => {
    await metadata.putManifest('a', testManifest('m'), ['v1', 'v2']);
    await metadata.recordPulls([
      { repository: 'a', reference: { tag: 'v1' }, at: 500 },
      { repository: 'a', reference: { digest: digestOf('m') }, at: 300 },
      { repository: 'none', reference: { tag: 'v1' }, at: 900 },
    ]);
    const records = await metadata.tagRecords('a', all);
    assert.deepEqual(
      records.map(({ name, pulledAt }) => [name, pulledAt]),
      [
        ['v1', 500],
        ['v2', 300],
      ],
    );
  });

  cases('lists what changed since it was copied, until it is copied as it is', async (metadata) => {
    await metadata.putManifest('a', testManifest('m'), ['v1']);
    const list = async () => (await metadata.uncopied(10)).map(({ kind, name }) => `${kind} ${name}`);
    assert.deepEqual(await list(), [`manifest ${digestOf('m')}`, 'tag v1']);
    const [manifest, tag] = await metadata.uncopied(10);
    await metadata.putManifest('a', testManifest('m2'), ['v1']);
    for (const item of [manifest, tag]) if (item) await metadata.copied(item);
    assert.deepEqual((await list()).toSorted(), [`manifest ${digestOf('m2')}`, 'tag v1']);
    for (const item of await metadata.uncopied(10)) await metadata.copied(item);
    assert.deepEqual(await list(), []);
    await metadata.removeManifest('a', digestOf('m2'));
    assert.deepEqual((await list()).toSorted(), [`manifest ${digestOf('m2')}`, 'tag v1']);
  });

  cases('records a notification with the change, and gives it to one server at a time', async (metadata) => {
    const deliveries = [{ endpoint: 'ci', body: '{}' }];
    const immutable = (): boolean => true;
    await metadata.putManifest('a', testManifest('m'), ['v1'], { deliveries });
    await assert.rejects(async () =>
      metadata.putManifest('a', testManifest('m2'), ['v1'], { deliveries, immutable }),
    );
    assert.equal(await metadata.removeTag('a', 'none', { deliveries }), 'unknown');
    const now = Date.now() + 1;
    const claimed = await metadata.claimDeliveries(now, now + 1000, 10);
    assert.deepEqual(
      claimed.map(({ endpoint, body, attempts }) => [endpoint, body, attempts]),
      [['ci', '{}', 0]],
    );
    assert.deepEqual(await metadata.claimDeliveries(now, now + 1000, 10), []);
    await metadata.postponeDelivery(claimed[0]?.id ?? 0, now);
    const [again] = await metadata.claimDeliveries(now, now + 1000, 10);
    assert.equal(again?.attempts, 1);
    await metadata.dropDelivery(again.id);
    assert.deepEqual(await metadata.claimDeliveries(now + 5000, now + 6000, 10), []);
  });

  cases('hides a damaged blob until it is pushed again', async (metadata) => {
    await metadata.addBlob('a', blob('x'));
    await metadata.putManifest('a', testManifest('m', { blobs: [blob('x')] }), ['v1']);
    await metadata.scrubbing.setDamaged(digestOf('x'), true);
    assert.equal(await metadata.blob('a', digestOf('x')), undefined);
    assert.equal(await metadata.linkBlob('b', digestOf('x')), false);
    assert.deepEqual(await metadata.scrubbing.concerned(digestOf('x')), [
      { repository: 'a', manifest: digestOf('m') },
    ]);
    assert.deepEqual(await metadata.scrubbing.blobs(all), [{ ...blob('x'), damaged: true }]);
    await metadata.addBlob('a', blob('x'));
    assert.equal((await metadata.blob('a', digestOf('x')))?.size, 10);
  });

  const later = (): number => Date.now() + 1;
  const sweep = async (metadata: MetadataStore, kind: ReviewKind): Promise<Digest[]> => {
    const found: Digest[] = [];
    let cursor: readonly number[] | undefined;
    do {
      const step = await metadata.garbage.review(kind, later(), 3, () => false, cursor);
      found.push(...step.found.map(({ digest }) => digest));
      cursor = step.next;
    } while (cursor);
    return found;
  };

  cases('collects what lost its need, and looks at nothing twice', async (metadata) => {
    for (const name of ['config', 'layer', 'loose']) await metadata.addBlob('a', blob(name));
    const named = [blob('config'), blob('layer')];
    await metadata.putManifest('a', testManifest('m', { blobs: named }), ['v1']);
    assert.deepEqual(await sweep(metadata, 'manifest'), []);
    assert.deepEqual(await sweep(metadata, 'link'), [digestOf('loose')]);
    assert.deepEqual(await sweep(metadata, 'blob'), [digestOf('loose')]);
    assert.equal(await metadata.garbage.forgetBlob(digestOf('loose')), true);
    assert.equal(await metadata.garbage.forgetBlob(digestOf('layer')), false);
    for (const kind of ['manifest', 'link', 'blob'] as const) {
      assert.deepEqual((await metadata.garbage.underReview(kind, later(), 10)).found, [], kind);
    }
    await metadata.removeTag('a', 'v1');
    assert.deepEqual(await sweep(metadata, 'manifest'), [digestOf('m')]);
    assert.deepEqual(
      (await sweep(metadata, 'link')).toSorted(),
      named.map(({ digest }) => digest).toSorted(),
    );
    assert.equal((await sweep(metadata, 'blob')).length, 2);
    assert.equal(await metadata.usedBytes('repository', 'a'), 0);
  });

  cases('says of what is under review what needs it', async (metadata) => {
    await metadata.addBlob('a', blob('layer'));
    await metadata.putManifest('a', testManifest('child', { blobs: [blob('layer')] }), ['v1']);
    await metadata.putManifest('a', testManifest('index', { children: [digestOf('child')] }), ['all']);
    await metadata.putManifest('a', testManifest('sig', { subject: digestOf('child') }), []);
    const needs = async (kind: ReviewKind): Promise<(readonly [Digest, readonly string[]])[]> =>
      (await metadata.garbage.underReview(kind, later(), 100)).found.map(
        (item) => [item.digest, item.needs.map((need) => need.kind)] as const,
      );
    assert.deepEqual(await needs('manifest'), [
      [digestOf('child'), ['tag', 'index']],
      [digestOf('index'), ['tag']],
      [digestOf('sig'), ['subject']],
    ]);
    assert.deepEqual(await needs('link'), [[digestOf('layer'), ['manifest']]]);
    assert.deepEqual(await metadata.indexesOf('a', digestOf('child'), 10), [digestOf('index')]);
    assert.deepEqual(await metadata.indexesOf('a', digestOf('index'), 10), []);
    // The index goes, then its child, then the child's signature and the layer.
    await metadata.removeTag('a', 'v1');
    await metadata.removeTag('a', 'all');
    const gone: Digest[] = [];
    for (let found = await sweep(metadata, 'manifest'); found.length > 0; ) {
      gone.push(...found);
      found = await sweep(metadata, 'manifest');
    }
    assert.deepEqual(gone.toSorted(), ['index', 'child', 'sig'].map((name) => digestOf(name)).toSorted());
    assert.deepEqual(await sweep(metadata, 'link'), [digestOf('layer')]);
  });

  cases('reviews everything again when told to', async (metadata) => {
    await metadata.addBlob('a', blob('layer'));
    await metadata.putManifest('a', testManifest('m', { blobs: [blob('layer')] }), ['v1']);
    for (const kind of ['manifest', 'link', 'blob'] as const) await sweep(metadata, kind);
    let cursor: readonly number[] | undefined;
    let looked = 0;
    do {
      const step = await metadata.garbage.reviewAll(1, cursor);
      looked += step.found;
      cursor = step.next;
    } while (cursor);
    assert.equal(looked, 3);
    assert.equal((await metadata.garbage.underReview('link', later(), 10)).found.length, 1);
    assert.deepEqual(await sweep(metadata, 'link'), []);
  });

  cases('lets one at a time do something with a blob', async (metadata) => {
    const order: string[] = [];
    const turn = (name: string): Promise<void> =>
      metadata.inBlobTurn(digestOf('x'), async () => {
        order.push(`${name} in`);
        await metadata.hasRepository('a');
        order.push(`${name} out`);
      });
    await Promise.all([turn('a'), turn('b')]);
    assert.deepEqual(order, ['a in', 'a out', 'b in', 'b out']);
  });

  cases('keeps every manifest whole however pushes and collections interleave', async (metadata) => {
    let pushed = 0;
    const stop = new AbortController();
    const collector = (async () => {
      while (!stop.signal.aborted) {
        for (const kind of ['manifest', 'link', 'blob'] as const) {
          for (const digest of await sweep(metadata, kind)) {
            if (kind === 'blob') await metadata.garbage.forgetBlob(digest);
          }
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const pushers = [0, 1, 2].map(async (lane) => {
      for (let round = 0; round < 8; round++) {
        const layer = blob(`layer ${round % 2}`);
        await metadata.addBlob(`r${lane}`, layer);
        try {
          await metadata.putManifest(`r${lane}`, testManifest(`m${lane}-${round}`, { blobs: [layer] }), [
            'latest',
          ]);
          pushed++;
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'MANIFEST_BLOB_UNKNOWN');
          continue;
        }
        assert.equal((await metadata.blob(`r${lane}`, layer.digest))?.size, layer.size);
      }
    });
    await Promise.all(pushers).finally(() => stop.abort());
    await collector;
    assert.ok(pushed > 0);
  });

  cases('remembers logouts until their sessions would be over', async (metadata) => {
    await metadata.logouts.add('one', 100, 0);
    await metadata.logouts.add('one', 100, 0);
    assert.equal(await metadata.logouts.has('one'), true);
    assert.equal(await metadata.logouts.has('other'), false);
    await metadata.logouts.add('other', 200, 100);
    assert.deepEqual([await metadata.logouts.has('one'), await metadata.logouts.has('other')], [false, true]);
  });

  cases('keeps robots', async (metadata) => {
    const robot = {
      name: 'ci',
      secretHash: 'h',
      grants: [{ repositories: ['a/**'], actions: ['pull' as const] }],
      description: undefined,
      createdAt: 1,
      expiresAt: 2,
    };
    assert.equal(await metadata.robots.add(robot), true);
    assert.equal(await metadata.robots.add(robot), false);
    assert.deepEqual(await metadata.robots.find('ci'), robot);
    assert.deepEqual(await metadata.robots.list(), [robot]);
    assert.equal(await metadata.robots.remove('ci'), true);
    assert.equal(await metadata.robots.find('ci'), undefined);
  });
}
