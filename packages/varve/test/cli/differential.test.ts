import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Bundle, bundle } from './bundle.ts';
import { Pair, plain } from './pair.ts';

let built: Bundle;
let pair: Pair;

before(async () => {
  built = bundle();
  pair = await Pair.start(built.entry);
  const { engine } = pair;
  await engine.ok('tag', 'busybox', 'busybox:two');
  await engine.ok(
    ...['run', '-d', '--name', 'up', '-p', '18080:80', '-l', 'a=b', '-l', 'c=d', '-v', 'data:/data'],
    ...['busybox', 'sh', '-c', 'touch /new; rm /etc/group; exec sleep 1000'],
  );
  await engine.docker('run', '--name', 'ended', 'busybox', 'sh', '-c', 'echo out; echo err >&2; exit 3');
  await engine.ok('create', '--name', 'd-made', 'busybox', 'true');
  await engine.ok('create', '--name', 'v-made', 'busybox', 'true');
});

after(async () => {
  await pair?.[Symbol.asyncDispose]();
  built?.[Symbol.dispose]();
});

/** Commands that change nothing; each must answer as Docker's client does, to the letter of both outputs. */
const readings: readonly (readonly string[])[] = [
  ['images'],
  ['images', '-q'],
  ['images', '--digests'],
  ['images', '--no-trunc'],
  ['images', '--format', '{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}} {{.CreatedAt}} {{.VirtualSize}}'],
  ['images', '--format', 'table {{.Repository}}\t{{.ID}}'],
  ['images', '-f', 'reference=bus*'],
  ['images', '-f', 'dangling=true'],
  ['images', '-f', 'bogus=1'],
  ['images', 'busybox:two'],
  ['images', 'nope'],
  ['image', 'ls', '-q'],
  ['ps'],
  ['ps', '-a'],
  ['ps', '-aq'],
  ['ps', '-a', '--no-trunc'],
  ['ps', '-a', '--format', 'json'],
  ['ps', '-a', '--format', '{{.Names}} {{.Label "a"}} {{.Labels}} {{.Mounts}} {{.Networks}} {{.Ports}}'],
  ['ps', '-a', '--format', 'table {{.Names}}\t{{.State}}\t{{upper .Image}}'],
  ['ps', '--format', '{{.CreatedAt}} {{.RunningFor}} {{.Size}}'],
  ['ps', '-s'],
  ['ps', '-l'],
  ['ps', '-n', '1'],
  ['ps', '-f', 'status=exited'],
  ['ps', '-f', 'name=up', '-q'],
  ['ps', '-f', 'bogus=1'],
  ['ps', '--format', '{{.Nope}}'],
  ['ps', '--format', '{{.Names'],
  ['ps', 'extra'],
  ['ps', '--bogus'],
  ['ps', '-z'],
  ['history', 'busybox'],
  ['history', '--no-trunc', 'busybox'],
  ['history', '-q', 'busybox'],
  ['history', '-H=false', 'busybox'],
  ['history', '--format', 'json', 'busybox'],
  ['history', 'nope'],
  ['inspect', 'up'],
  ['inspect', 'busybox', 'ended', 'bridge', 'data'],
  ['inspect', '-f', 'json', 'up'],
  ['inspect', 'up', 'nope', 'busybox', '-f', '{{.Id}}'],
  ['inspect', 'nope'],
  ['inspect', '--type', 'image', 'up'],
  ['inspect', '-f', '{{json .NetworkSettings.Ports}}', 'up'],
  [
    'inspect',
    '-f',
    '{{range $p, $c := .NetworkSettings.Ports}}{{$p}}={{(index $c 0).HostPort}}{{end}}',
    'up',
  ],
  ['inspect', '-f', '{{.Config.Labels}} {{.Config.Env}} {{.HostConfig.Memory}} {{.State.Running}}', 'up'],
  ['inspect', '-f', '{{.HostConfig.RestartPolicy}} {{.Config.ExposedPorts}} {{.Mounts}}', 'up'],
  ['inspect', '-f', '{{index .Config.Labels "a"}} {{upper .Name}} {{printf "%q|%5d|%-5d|" .Path 7 8}}', 'up'],
  [
    'inspect',
    '-f',
    '{{if eq .State.Status "running"}}y{{else}}n{{end}}{{with .Config.Labels}}{{.a}}{{end}}',
    'up',
  ],
  ['inspect', '-f', '{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}', 'up'],
  ['inspect', '-f', '{{.State.Health.Status}}', 'up'],
  ['inspect', '-f', '{{.Nope}}', 'up'],
  ['inspect', '-f', '{{.Id', 'up'],
  ['inspect', '-f', '{{foo .Id}}', 'up'],
  ['inspect', '-s', '-f', '{{.SizeRootFs}}', 'ended'],
  ['container', 'inspect', 'nope'],
  ['image', 'inspect', 'nope'],
  ['image', 'inspect', 'busybox', '-f', '{{.RepoTags}} {{.Os}}/{{.Architecture}} {{json .RootFS.Layers}}'],
  ['network', 'inspect', 'nope'],
  ['volume', 'inspect', 'nope'],
  ['port', 'up'],
  ['port', 'up', '80'],
  ['port', 'up', '99'],
  ['port', 'nope'],
  ['top', 'up'],
  ['top', 'up', '-o', 'pid,comm'],
  ['top', 'ended'],
  ['diff', 'up'],
  ['diff', 'nope'],
  ['logs', 'ended'],
  ['logs', '-t', 'ended'],
  ['logs', '-n', '1', 'ended'],
  ['logs', '--tail', '0', 'ended'],
  ['logs', '--since', '1h', 'ended'],
  ['logs', '--since', '2030-01-01', 'ended'],
  ['logs', '--until', '1h', 'ended'],
  ['logs', '-f', 'ended'],
  ['logs', 'nope'],
  ['wait', 'ended'],
  ['exec', 'up', 'sh', '-c', 'echo a; echo b >&2; exit 7'],
  ['exec', '-w', '/tmp', '-e', 'A=1', '-u', 'user', 'up', 'sh', '-c', 'pwd; id; echo $A'],
  ['exec', 'up', 'nosuch'],
  ['exec', 'up', '/etc/passwd'],
  ['exec', '-d', 'up', 'true'],
  ['exec', '-it', 'up', 'true'],
  ['exec', 'ended', 'true'],
  ['exec', 'nope', 'true'],
  ['exec', 'up'],
  ['network', 'ls'],
  ['network', 'ls', '-q'],
  ['network', 'ls', '--format', 'json'],
  ['network', 'ls', '-f', 'driver=bridge', '--format', '{{.Name}} {{.Label "x"}} {{.CreatedAt}} {{.IPv6}}'],
  ['network', 'inspect', 'bridge'],
  ['network', 'rm', 'nope'],
  ['network', 'rm', 'bridge', 'nope'],
  ['network', 'create', 'bridge'],
  ['network', 'connect', 'nope', 'up'],
  ['network', 'disconnect', 'bridge', 'nope'],
  ['network', 'create'],
  ['volume', 'ls'],
  ['volume', 'ls', '-q'],
  ['volume', 'ls', '--format', 'json'],
  ['volume', 'ls', '--format', '{{.Name}} {{.Mountpoint}} {{.Size}} {{.Links}} {{.Label "a"}}'],
  ['volume', 'ls', '-f', 'bogus=1'],
  ['volume', 'rm', 'nope'],
  ['volume', 'rm', 'data'],
  ['volume', 'create', 'data'],
  ['volume', 'create', 'b d'],
  ['events', '--since', '1h', '--until', '0s', '-f', 'type=volume'],
  ['events', '--since', '1h', '--until', '0s', '-f', 'type=image', '--format', 'json'],
  [
    'events',
    '--since',
    '1h',
    '--until',
    '0s',
    '-f',
    'container=ended',
    '--format',
    '{{.Type}} {{.Action}} {{.Actor.ID}}',
  ],
  ['events', '--since', '1h', '--until', '0s', '-f', 'bogus=1'],
  ['system', 'df'],
  ['system', 'df', '--format', 'json'],
  ['version', '--format', '{{.Server.Version}} {{.Server.APIVersion}} {{.Client.Os}}'],
  ['info', '-f', '{{.Driver}} {{.ServerVersion}} {{.NCPU}} {{.Images}}'],
  ['stats', '--no-stream', '--format', '{{.Name}} {{.PIDs}}', 'up'],
  ['stop', 'nope'],
  ['stop', 'ended'],
  ['stop', '-t', 'x', 'up'],
  ['kill', 'ended'],
  ['kill', '-s', 'NOPE', 'up'],
  ['rm', 'nope'],
  ['rm', 'up'],
  ['rm', '-f', 'nope'],
  ['rmi', 'nope'],
  ['rmi', '-f', 'nope'],
  ['rename', 'up'],
  ['rename', 'nope', 'x'],
  ['rename', 'up', 'ended'],
  ['start', 'nope'],
  ['start', 'up'],
  ['restart', 'nope'],
  ['pause', 'ended'],
  ['unpause', 'up'],
  ['attach', 'ended'],
  ['update', 'up'],
  ['tag', 'busybox', 'BAD:x'],
  ['tag', 'nope', 'a'],
  ['save', 'nope'],
  ['save', '-o', '/nodir/x', 'busybox'],
  ['save', '-o', '/dev/null', 'busybox'],
  ['save', '-o', '/usr', 'busybox'],
  ['export', '-o', '/dev/zero', 'nope'],
  ['load', '-i', '/nope'],
  ['import', '/nope', 'x'],
  ['export', 'nope'],
  ['export', '-o', '/nodir/x', 'up'],
  ['commit', 'nope', 'x'],
  ['create', 'nosuch.invalid/foo', 'ls'],
  ['login', '-u', 'x'],
  ['login', '-u', 'x', '-p', 'y', '127.0.0.1:1'],
  ['logout', 'foo.test'],
  ['bogus'],
];

for (const args of readings) {
  test(`varve ${args.join(' ')} answers as docker does`, async () => {
    await pair.same(args);
  });
}

test('varve system df -v says all that docker does, and then where every byte is', async () => {
  const args = ['system', 'df', '-v'];
  const theirs = plain(await pair.docker(args));
  const ours = plain(await pair.varve(args));
  assert.ok(ours.stdout.startsWith(theirs.stdout), `${theirs.stdout}\n---\n${ours.stdout}`);
  assert.match(ours.stdout, /\nData root usage .*:\n\nPART ITEMS BYTES *\n(.*\n)*total \d+ *\n/);
});

/** The same for commands that make or end something, one client after the other. */
const changes: readonly (readonly string[])[] = [
  ['run', '--rm', 'busybox', 'sh', '-c', 'echo a; echo b >&2; exit 7'],
  ['run', '--rm', 'busybox', 'nosuch'],
  ['run', '--rm', 'busybox', '/etc/passwd'],
  ['run', '--rm', 'nosuch.invalid/foo', 'true'],
  ['run', '--rm', '--bogus', 'busybox'],
  ['run'],
  ['run', '--rm', '-v', '/x:relative', 'busybox', 'true'],
  ['run', '--rm', '-p', 'abc', 'busybox', 'true'],
  ['run', '--rm', '--network', 'nope', 'busybox', 'true'],
  ['run', '--rm', '-w', 'rel', 'busybox', 'pwd'],
  ['run', '--rm', '-u', 'nobodyx', 'busybox', 'true'],
  ['run', '--rm', '-m', '1', 'busybox', 'true'],
  ['run', '--rm', '--name', 'bad name', 'busybox', 'true'],
  ['run', '--rm', '--restart', 'always', 'busybox', 'true'],
  ['run', '--rm', '--cap-add', 'NOPE', 'busybox', 'true'],
  ['run', '--rm', '--pull', 'bogus', 'busybox', 'true'],
  ['run', '--rm', '--env-file', '/nope', 'busybox', 'env'],
  ['run', '--rm', '-it', 'busybox', 'true'],
  ['run', '--name', 'up', 'busybox', 'true'],
  [
    'run',
    '--rm',
    '-e',
    'A=1',
    '-e',
    'B',
    '-w',
    '/tmp',
    '-u',
    'user',
    'busybox',
    'sh',
    '-c',
    'echo $A $B; pwd; id',
  ],
  ['run', '--rm', '--entrypoint', 'echo', 'busybox', 'hi', 'there'],
  [
    'run',
    '--rm',
    '-v',
    'data:/d:ro',
    '--tmpfs',
    '/t',
    'busybox',
    'sh',
    '-c',
    'touch /d/x; touch /t/x && ls /t',
  ],
  [
    'run',
    '--rm',
    '-h',
    'me',
    '--add-host',
    'a:1.2.3.4',
    'busybox',
    'sh',
    '-c',
    'hostname; grep -w a /etc/hosts',
  ],
  ['run', '-d', '--name', '@-bg', 'busybox', 'sleep', '1000'],
  ['pause', '@-bg'],
  ['unpause', '@-bg'],
  ['update', '-m', '64m', '--memory-swap', '64m', '@-bg'],
  ['restart', '-t', '0', '@-bg'],
  ['kill', '-s', 'KILL', '@-bg'],
  ['wait', '@-bg'],
  ['start', '-a', '@-made'],
  ['rename', '@-bg', '@-bg2'],
  ['commit', '-m', 'note', '-c', 'CMD ["ls"]', '@-bg2', '@-image:1'],
  ['history', '--format', '{{.Comment}} {{.Size}}', '@-image:1'],
  ['tag', '@-image:1', '@-image:2'],
  ['rmi', '@-image:2'],
  ['rmi', '@-image:1'],
  ['rm', '-v', '@-bg2', '@-made'],
  ['network', 'create', '--label', 'k=v', '@-net'],
  ['network', 'connect', '--alias', 'z', '@-net', 'up'],
  ['network', 'disconnect', '@-net', 'up'],
  ['network', 'rm', '@-net'],
  ['volume', 'create', '--label', 'k=v', '@-vol'],
  ['volume', 'ls', '-f', 'label=k=v', '-q'],
  ['volume', 'rm', '@-vol'],
  ['container', 'prune', '-f', '--filter', 'label=nope'],
  ['volume', 'prune', '-f'],
  ['network', 'prune', '-f'],
];

test('commands that change something answer as docker does', async (t) => {
  for (const args of changes) {
    await t.test(`varve ${args.join(' ')}`, async () => {
      await pair.sameTwice(args);
    });
  }
});

test('stdin goes to the container, and ends there', async () => {
  const input = 'x'.repeat(200_000);
  const { stdout } = await pair.sameTwice(['run', '-i', '--rm', 'busybox', 'wc', '-c'], { input });
  assert.equal(stdout.trim(), '200000');
  await pair.sameTwice(['exec', '-i', 'up', 'sh', '-c', 'cat; echo end >&2'], { input: 'hello\n' });
  // Without -i nothing is read.
  await pair.sameTwice(['run', '--rm', 'busybox', 'cat'], { input: 'lost' });
});
