import assert from 'node:assert/strict';
import {
  createReadStream,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { mountsBelow } from '../linux/index.ts';
import { BuildBench } from './testing/build-bench.ts';

const text = (root: string, name: string): string => readFileSync(join(root, name), 'utf8');

/** Nothing of a build may stay behind: no mounts, no active snapshots, no temporary folders. */
function assertClean(bench: BuildBench): void {
  assert.deepEqual(
    mountsBelow(bench.root).map(({ target }) => target),
    [],
  );
  assert.deepEqual(
    [...bench.driver.list()].filter(({ kind }) => kind === 'active'),
    [],
  );
  const builds = join(bench.root, 'builder/builds');
  assert.deepEqual(existsSync(builds) ? readdirSync(builds) : [], []);
}

test('builds the image of the articles', async () => {
  await using bench = await BuildBench.open();
  const dockerfile = 'FROM base\nADD run.sh /\nVOLUME /data\nCMD ["./run.sh"]\n';
  const { image, lines } = await bench.build(
    dockerfile,
    { 'run.sh': '#!/bin/sh\necho hi\n' },
    { tags: ['app', 'x/y:2'] },
  );
  assert.deepEqual(image.tags, ['docker.io/library/app:latest', 'docker.io/x/y:2']);
  assert.deepEqual(image.config.config?.Cmd, ['./run.sh']);
  assert.deepEqual(image.config.config?.Volumes, { '/data': {} });
  const history = bench.images.history(image);
  assert.equal(history[0]?.createdBy, '/bin/sh -c #(nop)  CMD ["./run.sh"]');
  assert.equal(history[1]?.createdBy, '/bin/sh -c #(nop)  VOLUME [/data]');
  assert.match(history[2]?.createdBy ?? '', /^\/bin\/sh -c #\(nop\) ADD file:[0-9a-f]{64} in \/ $/);
  assert.equal(history[2]?.size, 18);
  assert.ok(history.slice(0, 3).every(({ id }) => id.startsWith('sha256:')));
  await bench.inspect(image, (root) => {
    assert.equal(text(root, 'run.sh'), '#!/bin/sh\necho hi\n');
    assert.ok(existsSync(join(root, 'bin/busybox')));
  });
  assert.deepEqual(
    lines.filter((line) => line.startsWith('FROM') || line.startsWith('CMD') || line.startsWith(' --->'))
      .length,
    6,
  );
  assertClean(bench);
});

test('runs commands with the environment, the arguments and the folder of their place', async () => {
  await using bench = await BuildBench.open();
  const { image, output } = await bench.build(
    `ARG VERSION=1
FROM base
ARG VERSION
ARG NAME=none
ENV GREETING="hello \${NAME}" OTHER=x
WORKDIR /work
WORKDIR sub
RUN echo "$GREETING $VERSION $NAME $(pwd)" | cat && touch here
RUN ["sh", "-c", "echo exec form"]
RUN <<EOF
echo from a heredoc
echo second line
EOF
RUN <<-EOF
	#!/bin/sh
	echo script $0
	EOF
RUN cat <<ONE >out
body \${NAME}
ONE
`,
    {},
    { buildArgs: { NAME: 'joe' } },
  );
  assert.match(output, /^hello joe 1 joe \/work\/sub$/m);
  assert.match(output, /^exec form$/m);
  assert.match(output, /^from a heredoc\nsecond line$/m);
  assert.match(output, /^script \/dev\/pipes\/EOF$/m);
  await bench.inspect(image, (root) => {
    assert.ok(existsSync(join(root, 'work/sub/here')));
    assert.equal(text(root, 'work/sub/out'), 'body joe\n');
    assert.ok(!existsSync(join(root, 'dev')));
  });
  const history = bench.images.history(image).map(({ createdBy }) => createdBy);
  assert.ok(history.some((line) => line.startsWith('|2 NAME=joe VERSION=1 /bin/sh -c echo "$GREETING')));
  assert.equal(image.config.config?.WorkingDir, '/work/sub');
  assertClean(bench);
});

test('copies files where Docker puts them', async () => {
  await using bench = await BuildBench.open();
  const files = {
    'a.txt': 'a',
    'b.txt': 'b',
    'src/x': 'x',
    'src/sub/y': 'y',
    'src/skip.md': '',
    'my file': 'm',
  };
  const { image } = await bench.build(
    `FROM base
RUN ln -s /opt /link && mkdir -p /opt /there && ln -s opt/pointed /pointer
COPY a.txt /pointer
COPY . /all/
COPY a.txt /new/name
COPY a.txt /there
COPY *.txt /many/
COPY src /tree
COPY --exclude=*.md src /link/
COPY --parents src/sub/y /parents/
COPY --parents src/./sub/y /pivot/
COPY ["my file", "/with space/"]
COPY --chown=app:root --chmod=640 a.txt /owned
COPY <<file.conf /etc/
key=$HOME-\${WHO:-nobody}
file.conf
WORKDIR /rel
COPY a.txt .
COPY b.txt sub/
`,
    files,
  );
  await bench.inspect(image, (root) => {
    const expected = {
      'new/name': 'a',
      'opt/pointed': 'a',
      'all/a.txt': 'a',
      'there/a.txt': 'a',
      'many/a.txt': 'a',
      'many/b.txt': 'b',
      'tree/x': 'x',
      'tree/sub/y': 'y',
      'opt/x': 'x',
      'parents/src/sub/y': 'y',
      'pivot/sub/y': 'y',
      'with space/my file': 'm',
      'etc/file.conf': 'key=-nobody\n',
      'rel/a.txt': 'a',
      'rel/sub/b.txt': 'b',
    };
    for (const [name, content] of Object.entries(expected)) assert.equal(text(root, name), content, name);
    assert.ok(!existsSync(join(root, 'opt/skip.md')));
    assert.equal(lstatSync(join(root, 'all')).mode & 0o777, 0o755);
    const { mode, uid, gid } = lstatSync(join(root, 'owned'));
    assert.deepEqual([mode & 0o7777, uid, gid], [0o640, 1000, 0]);
  });
});

test('builds only the stages it needs and copies between them', async () => {
  await using bench = await BuildBench.open();
  await bench.addBase('other');
  const dockerfile = `FROM base AS unused
RUN exit 1
FROM base AS build
RUN mkdir /out && echo made > /out/file
FROM build AS more
RUN echo more > /out/more
FROM scratch
COPY --from=build /out /from-name
COPY --from=2 /out/more /from-index
COPY --from=other /etc/group /from-image
`;
  const { image, events } = await bench.build(dockerfile);
  await bench.inspect(image, (root) => {
    assert.deepEqual(readdirSync(root).sort(), ['from-image', 'from-index', 'from-name']);
    assert.equal(text(root, 'from-name/file'), 'made\n');
    assert.equal(text(root, 'from-index'), 'more\n');
    assert.match(text(root, 'from-image'), /^app:/m);
  });
  const steps = events.filter((event) => event.type === 'step');
  assert.deepEqual([steps.length, steps[0]?.total, steps[0]?.stage], [8, 8, 'build']);
  const target = await bench.build(dockerfile, {}, { target: 'more' });
  assert.equal(target.image.config.rootfs.diff_ids.length, 3);
  assertClean(bench);
});

test('takes every step from the cache the second time, after a restart too, without a command', async () => {
  await using bench = await BuildBench.open();
  const dockerfile =
    'FROM base\nARG A=1\nCOPY src /src\nRUN echo $A > /a\nWORKDIR /w\nCOPY --from=base /etc/passwd /p\nEXPOSE 80\nVOLUME /v\nUSER app\nCMD ["x"]\n';
  const files = { 'src/one': '1', 'src/two': '2' };
  const first = await bench.build(dockerfile, files);
  assert.ok(first.cache.every((hit) => hit !== true));
  await bench.restart();
  const runs = bench.runner.steps.length;
  const second = await bench.run();
  assert.deepEqual(second.cache, [true, true, true, true, true, true, true, true, true]);
  assert.equal(second.image.id, first.image.id);
  assert.equal(bench.runner.steps.length, runs);
  const third = await bench.run({ noCache: true });
  assert.ok(third.cache.every((hit) => hit !== true));
  assert.equal(bench.runner.steps.length, runs + 1);
});

test('a base image of another id but the same content: the images are made anew once', async () => {
  await using bench = await BuildBench.open();
  const dockerfile = 'FROM base\nENV a=b\nRUN echo x > /x\n';
  const before = await bench.build(dockerfile);
  const again = createReadStream(join(bench.folder.path, 'base.tar'));
  const base = await bench.images.import(again, {
    reference: 'base',
    config: bench.images.resolve('base').config.config ?? {},
  });
  const { image, cache } = await bench.build(dockerfile);
  assert.deepEqual(cache, [true, true]);
  assert.notEqual(image.id, before.image.id);
  const [env, run] = bench.builder.cacheRecords();
  assert.deepEqual([env?.parentImage, env?.image, run?.image], [base.id, run?.parentImage, image.id]);
});

test('says what changed when a step is not in the cache', async () => {
  await using bench = await BuildBench.open();
  const dockerfile = 'FROM base\nARG A=1\nCOPY src /src\nRUN echo $A\n';
  await bench.build(dockerfile, { 'src/one': '1', 'src/two': '2' });
  utimesSync(join(bench.folder.path, 'context/src/one'), 5, 5);
  assert.deepEqual((await bench.run()).cache, [true, true, true]);
  assert.deepEqual((await bench.build(dockerfile, { 'src/two': 'changed' })).cache, [
    true,
    'COPY src /src: content of src/two changed',
    'RUN echo $A: an earlier step or the base image changed',
  ]);
  assert.deepEqual((await bench.run({ buildArgs: { A: '2' } })).cache, [
    true,
    true,
    'RUN echo $A: build argument A changed',
  ]);
});

test('makes the step again when the image store lost its layer', async () => {
  await using bench = await BuildBench.open();
  const dockerfile = 'FROM base\nRUN echo x > /x\nCMD ["a"]\n';
  const first = await bench.build(dockerfile, {}, { tags: ['app'] });
  await bench.images.remove('app', { inUse: () => [] });
  assert.equal(bench.images.get(first.image.id), undefined);
  const second = await bench.build(dockerfile, {}, { tags: ['app'] });
  await bench.inspect(second.image, (root) => assert.equal(text(root, 'x'), 'x\n'));
});

test('keeps layers of the cache over the removal of their image when they are rooted', async () => {
  await using bench = await BuildBench.open();
  bench.images.addLayerRoots(() => bench.builder.layerRoots());
  const dockerfile = 'FROM base\nRUN echo x > /x\nCMD ["a"]\n';
  const first = await bench.build(dockerfile, {}, { tags: ['app'] });
  await bench.images.remove('app', { inUse: () => [] });
  const second = await bench.run({ tags: ['app'] });
  assert.deepEqual(second.cache, [true, true]);
  assert.equal(second.image.id, first.image.id);
});

test('a RUN that fails says so with its code and line and leaves nothing behind', async () => {
  await using bench = await BuildBench.open();
  await assert.rejects(
    bench.build('FROM base\n\nRUN echo out; echo err >&2; exit 3\n', {}, { tags: ['app'] }),
    {
      code: 'RUN_FAILED',
      message: "The command '/bin/sh -c echo out; echo err >&2; exit 3' returned a non-zero code: 3",
      data: { exitCode: 3, line: 3, endLine: 3 },
    },
  );
  assert.throws(() => bench.images.resolve('app'), { kind: 'not-found' });
  assertClean(bench);
});

test('a build can be cancelled in the middle of a command', async () => {
  await using bench = await BuildBench.open();
  const controller = new AbortController();
  bench.folder.write({ Dockerfile: 'FROM base\nRUN echo started && sleep 600\n' }, 'context');
  const request = {
    contextFolder: join(bench.folder.path, 'context'),
    dockerfile: { path: 'Dockerfile' },
    tags: [],
    buildArgs: {},
    labels: {},
    noCache: false,
    cacheFrom: [],
    pull: false,
    extraHosts: [],
    signal: controller.signal,
  };
  const build = async (): Promise<void> => {
    for await (const event of bench.builder.build(request)) if (event.type === 'output') controller.abort();
  };
  await assert.rejects(build(), { kind: 'cancelled' });
  assertClean(bench);
});

test('ONBUILD runs in the image built on it, once', async () => {
  await using bench = await BuildBench.open();
  await bench.build('FROM base\nONBUILD COPY app /app\nONBUILD RUN cat /app\n', {}, { tags: ['parent'] });
  const child = await bench.build('FROM parent\nCMD ["x"]\n', { app: 'content' }, { tags: ['child'] });
  assert.equal(child.output, 'content');
  assert.equal(child.image.config.config?.OnBuild, undefined);
  assert.ok(child.lines.includes('# Executing 2 build triggers'));
  const grandchild = await bench.build('FROM child\nENV a=b\n');
  assert.equal(grandchild.output, '');
});

test('mounts of RUN show files without keeping them', async () => {
  await using bench = await BuildBench.open();
  const dockerfile = `FROM base AS other
RUN echo staged > /staged
FROM base
RUN --mount=type=bind,source=dir,target=/ctx --mount=type=bind,from=other,target=/other cat /ctx/file /other/staged
RUN --mount=type=cache,target=/cache echo kept >> /cache/file
RUN --mount=type=cache,target=/cache cat /cache/file > /copy
RUN --mount=type=tmpfs,target=/t touch /t/x
`;
  const first = await bench.build(dockerfile, { 'dir/file': 'bound\n' });
  assert.equal(first.output, 'bound\nstaged\n');
  await bench.inspect(first.image, (root) => {
    assert.deepEqual(
      ['ctx', 'other', 'cache', 't'].filter((name) => existsSync(join(root, name))),
      [],
    );
    assert.equal(text(root, 'copy'), 'kept\n');
  });
  const second = await bench.build(dockerfile, { 'dir/file': 'changed\n' });
  assert.match(String(second.cache[1]), /content of dir\/file changed$/);
  assert.equal(second.output, 'changed\nstaged\n');
  assertClean(bench);
});

test('.dockerignore keeps files out, the one of the Dockerfile first', async () => {
  await using bench = await BuildBench.open();
  const files = {
    '.dockerignore': 'secret\n*.log\n!keep.log\n',
    secret: '',
    'a.log': '',
    'keep.log': '',
    plain: '',
  };
  const names = async (): Promise<string[]> => {
    const { image } = await bench.build('FROM scratch\nCOPY . /\n', files);
    return bench.inspect(image, (root) => readdirSync(root).sort());
  };
  assert.deepEqual(await names(), ['.dockerignore', 'Dockerfile', 'keep.log', 'plain']);
  bench.folder.write({ 'Dockerfile.dockerignore': '*\n!plain\n' }, 'context');
  assert.deepEqual(await names(), ['plain']);
  await assert.rejects(bench.build('FROM scratch\nCOPY secret /\n', files), {
    message:
      'COPY failed: file not found in build context or excluded by .dockerignore: stat secret: file does not exist',
    data: { line: 2, endLine: 2 },
  });
});

test('a link in the context or in the image does not lead out', async () => {
  await using bench = await BuildBench.open();
  bench.folder.write({}, 'context');
  const outside = bench.folder.write({ secret: 'host' }, 'outside');
  symlinkSync(outside, join(bench.folder.path, 'context/out'));
  await assert.rejects(bench.build('FROM base\nCOPY out/secret /\n'), { code: 'COPY_SOURCE_MISSING' });
  rmSync(join(bench.folder.path, 'context/out'));
  const dockerfile = `FROM base\nRUN ln -s ${outside} /evil\nCOPY file /evil/file\n`;
  const { image } = await bench.build(dockerfile, { file: 'x' });
  assert.deepEqual(readdirSync(outside), ['secret']);
  await bench.inspect(image, (root) => assert.equal(text(root, join(outside, 'file')), 'x'));
});

test('labels of the request come last and literally; unused build arguments are named', async () => {
  await using bench = await BuildBench.open();
  const { image, events } = await bench.build(
    'FROM base\nLABEL a=1 b=2\n',
    {},
    { labels: { b: '$HOME', c: 'x y' }, buildArgs: { NONE: '1' } },
  );
  assert.deepEqual(image.config.config?.Labels, { a: '1', b: '$HOME', c: 'x y' });
  assert.deepEqual(
    events.filter((event) => event.type === 'warning').map(({ message }) => message),
    ['One or more build-args [NONE] were not consumed'],
  );
});

test('FROM alone gives the base image itself, with the new tags', async () => {
  await using bench = await BuildBench.open();
  const base = bench.images.resolve('base');
  const { image } = await bench.build('FROM base\n', {}, { tags: ['same'] });
  assert.equal(image.id, base.id);
  await assert.rejects(bench.build('FROM scratch\n'), {
    message: 'No image was generated. Is your Dockerfile empty?',
  });
});

test('WORKDIR makes a folder for the user, and no layer when it is there', async () => {
  await using bench = await BuildBench.open();
  const { image } = await bench.build('FROM base\nUSER app\nWORKDIR /home/app\nWORKDIR /tmp\n');
  assert.equal(image.config.rootfs.diff_ids.length, 2);
  await bench.inspect(image, (root) => {
    assert.deepEqual(
      [lstatSync(join(root, 'home')).uid, lstatSync(join(root, 'home/app')).uid],
      [1000, 1000],
    );
  });
});

test('errors before the first step are those of the request', async () => {
  await using bench = await BuildBench.open();
  bench.folder.write({}, 'context');
  await assert.rejects(bench.run(), { message: 'Cannot locate specified Dockerfile: Dockerfile' });
  await assert.rejects(bench.build('\n'), { message: 'The Dockerfile (Dockerfile) cannot be empty' });
  await assert.rejects(bench.build('FRM x\n'), {
    message: 'dockerfile parse error on line 1: unknown instruction: FRM (did you mean FROM?)',
  });
  await assert.rejects(bench.build('FROM base\n', {}, { tags: ['Bad Tag'] }), { kind: 'invalid' });
});

test('--cache-from takes the steps of an image that another builder made', async () => {
  const dockerfile = 'FROM base\nENV a=b\nCOPY f /f\nRUN echo x > /x\nCMD ["a"]\n';
  await using first = await BuildBench.open();
  await first.build(dockerfile, { f: 'content' }, { tags: ['app', 'base'] });
  await using second = await BuildBench.open();
  await first.images.remove('base', { force: true, inUse: () => [] });
  // The base that the first one built on, and its result, as a registry would give them.
  await second.images.load(first.images.save(['app']));
  const base = second.images.resolve('app');
  const bottom = await second.images.create({
    config: {
      ...base.config,
      config: {},
      history: base.config.history?.slice(0, 1) ?? [],
      rootfs: { type: 'layers', diff_ids: base.config.rootfs.diff_ids.slice(0, 1) },
    },
  });
  second.images.tag(bottom.id, 'base');
  const runs = await second.build(dockerfile, { f: 'content' }, { cacheFrom: ['app', 'nowhere'] });
  assert.deepEqual(runs.cache, [true, true, true, true]);
  assert.equal(second.runner.steps.length, 0);
  const changed = await second.build(dockerfile, { f: 'changed' }, { cacheFrom: ['app'] });
  assert.deepEqual(
    changed.cache.map((hit) => hit === true),
    [true, false, false, false],
  );
});

test('builds of the same file at the same time do not disturb each other', async () => {
  await using bench = await BuildBench.open();
  const dockerfile =
    'FROM base\nCOPY f /f\nRUN --mount=type=cache,target=/c,sharing=locked test ! -e /c/busy && touch /c/busy && sleep 0.2 && rm /c/busy\nCMD ["a"]\n';
  bench.folder.write({ Dockerfile: dockerfile, f: 'x' }, 'context');
  const reports = await Promise.all([1, 2, 3].map((n) => bench.run({ tags: [`app:${n}`], noCache: true })));
  assert.equal(new Set(reports.map(({ image }) => image.config.rootfs.diff_ids.join())).size, 1);
  assertClean(bench);
});

test('a prune of nameless images in the middle of a build does not harm it', async () => {
  await using bench = await BuildBench.open();
  bench.images.addLayerRoots(() => bench.builder.layerRoots());
  const dockerfile =
    'FROM base AS one\nRUN echo 1 > /one\nENV a=b\nFROM base\nRUN echo 2 > /two\nCOPY --from=one /one /\nCMD ["x"]\n';
  bench.folder.write({ Dockerfile: dockerfile }, 'context');
  const prune = (): Promise<unknown> => bench.images.prune({ keep: () => false });
  const { image } = await bench.run({ tags: ['app'] }, prune);
  await bench.inspect(image, (root) => assert.equal(text(root, 'one') + text(root, 'two'), '1\n2\n'));
});
