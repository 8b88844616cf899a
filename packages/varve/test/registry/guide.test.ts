import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { checkConfig, formatProblem } from '../../src/registry/index.ts';

test('takes every configuration that the guides show', () => {
  for (const name of ['registry', 'registry-access']) {
    const guide = readFileSync(new URL(`../../../../docs/guides/${name}.md`, import.meta.url), 'utf8');
    const blocks = [...guide.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map((match) => match[1] ?? '');
    assert.ok(blocks.length > 0, name);
    for (const block of blocks) {
      const { config, problems } = checkConfig(block);
      assert.deepEqual(problems.map(formatProblem), [], block);
      assert.ok(config);
    }
  }
});
