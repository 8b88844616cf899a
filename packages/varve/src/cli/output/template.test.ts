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
  ['{{join (split .Name "/") "+"}}', '+web'],
];

for (const [text, expected] of cases) {
  test(`renders ${text}`, () => assert.equal(compileTemplate(text)(value), expected));
}

test('says what is wrong with a template', () => {
  assert.throws(() => compileTemplate('{{.Name'), { code: 'TEMPLATE_INVALID', message: /unclosed action/ });
  assert.throws(() => compileTemplate('{{if .Name}}x'), {
    code: 'TEMPLATE_INVALID',
    message: /unexpected EOF/,
  });
  assert.throws(() => compileTemplate('{{nope .Name}}')(value), { message: /function "nope" not defined/ });
});
