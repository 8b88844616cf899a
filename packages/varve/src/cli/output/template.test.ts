import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileTemplate } from './template.ts';

const value = {
  Name: '/web',
  State: { Status: 'running', Pid: 12 },
  Mounts: [{ Source: '/a' }, { Source: '/b' }],
  Ports: { '80/tcp': [{ HostPort: '8080' }], '81/tcp': null },
  Labels: {},
};
/** [template, what Docker 28 prints for it]. */
const cases: readonly (readonly [string, string])[] = [
  ['{{.Name}}', '/web'],
  ['{{.State.Status}} {{.State.Pid}}', 'running 12'],
  ['{{json .State}}', '{"Status":"running","Pid":12}'],
  ['{{.State | json}}', '{"Status":"running","Pid":12}'],
  ['{{range .Mounts}}{{.Source}};{{end}}', '/a;/b;'],
  ['{{range $i, $m := .Mounts}}{{$i}}={{$m.Source}} {{end}}', '0=/a 1=/b '],
  ['{{(index (index .Ports "80/tcp") 0).HostPort}}', '8080'],
  ['{{if .Labels}}yes{{else}}no{{end}}', 'no'],
  ['{{if eq .State.Status "exited"}}a{{else if eq .State.Status "running"}}b{{end}}', 'b'],
  ['{{with .State}}{{.Pid}}{{end}}', '12'],
  ['{{range $p, $conf := .Ports}}{{$p}} {{end}}', '80/tcp 81/tcp '],
  ['{{upper .Name}}\\t{{len .Mounts}}', '/WEB\t2'],
  ['{{.Labels}}', 'map[]'],
  ['{{.Missing}}', '<no value>'],
  ['{{- .Name -}} !', '/web!'],
  ['{{"}}"}}', '}}'],
  ['{{.State}} {{.Mounts}}', '{running 12} [{/a} {/b}]'],
  ['{{join (split .Name "/") "+"}}', '+web'],
];

for (const [text, expected] of cases) {
  test(`renders ${text}`, () => assert.equal(compileTemplate(text)(value), expected));
}

test('says what is wrong with a template', () => {
  assert.throws(() => compileTemplate('{{.Name'), { code: 'TEMPLATE_SYNTAX', message: /unclosed action/ });
  assert.throws(() => compileTemplate('{{if .Name}}x'), {
    code: 'TEMPLATE_SYNTAX',
    message: /unexpected EOF/,
  });
  assert.throws(() => compileTemplate('{{nope .Name}}')(value), { message: /function "nope" not defined/ });
});

test('fails at a member that a struct has not, when asked to', () => {
  const missing = (name: string): string => `no ${name}`;
  const render = (text: string): string => compileTemplate(text, { missing })(value);
  assert.equal(render('{{.Labels.none}}'), '<no value>');
  assert.equal(render('{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}'), 'none');
  assert.throws(() => render('{{.State.Health.Status}}'), { code: 'TEMPLATE_FIELD', message: 'no Health' });
  assert.throws(() => render('{{.Nope}}'), { code: 'TEMPLATE_FIELD', message: 'no Nope' });
  assert.throws(() => render('{{.Name.Nope}}'), { code: 'TEMPLATE_FIELD' });
});

test('calls methods with arguments', () => {
  const row = { Label: (name: string) => `<${name}>` };
  assert.equal(compileTemplate('{{.Label "a b"}}{{upper (.Label "c")}}')(row), '<a b><C>');
});
