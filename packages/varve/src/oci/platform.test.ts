import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  choosePlatform,
  type Descriptor,
  type Digest,
  formatPlatform,
  hostPlatform,
  matchesPlatform,
  parsePlatform,
} from './index.ts';

test('reads platforms and their many spellings', () => {
  const table: Readonly<Record<string, string>> = {
    'linux/amd64': 'linux/amd64',
    'linux/x86_64': 'linux/amd64',
    'Linux/X86-64': 'linux/amd64',
    'linux/aarch64': 'linux/arm64',
    'linux/arm64/v8': 'linux/arm64',
    'linux/arm': 'linux/arm/v7',
    'linux/armhf': 'linux/arm/v7',
    'linux/armel': 'linux/arm/v6',
    'linux/arm/6': 'linux/arm/v6',
    'linux/amd64/v1': 'linux/amd64',
    'linux/amd64/v3': 'linux/amd64/v3',
    'macos/arm64': 'darwin/arm64',
    arm64: `${hostPlatform().os}/arm64`,
    windows: `windows/${hostPlatform().architecture}`,
  };
  for (const [text, expected] of Object.entries(table)) {
    assert.equal(formatPlatform(parsePlatform(text)), expected, text);
  }
});

test('refuses what is no platform', () => {
  for (const text of [
    '',
    '/',
    'linux/',
    'a/b/c/d',
    'linux/*',
    'linux/a b',
    'nonsense',
    `linux/${'a'.repeat(65)}`,
  ]) {
    assert.throws(() => parsePlatform(text), { code: 'PLATFORM_INVALID' }, text);
  }
});

function entry(size: number, platform?: string): Descriptor {
  const [os = '', architecture = '', variant] = platform?.split('/') ?? [];
  return {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: `sha256:${'0'.repeat(64)}` as Digest,
    size,
    ...(platform === undefined ? {} : { platform: { os, architecture, ...(variant ? { variant } : {}) } }),
  };
}

test('chooses the nearest variant, and the first among equals', () => {
  const offered = [
    entry(0, 'unknown/unknown'),
    entry(1, 'linux/arm/v5'),
    entry(2, 'linux/arm/v7'),
    entry(3, 'linux/arm64/v8'),
    entry(4, 'linux/arm64/v8'),
    entry(5, 'linux/386'),
    entry(6, 'windows/amd64'),
  ];
  const choice = (wanted: string, strict = false): number | undefined =>
    choosePlatform(offered, parsePlatform(wanted), { strict })?.size;
  assert.equal(choice('linux/arm64'), 3);
  assert.equal(choice('linux/arm/v7'), 2);
  assert.equal(choice('linux/arm/v6'), 1);
  assert.equal(choice('linux/amd64'), 5);
  assert.equal(choice('linux/amd64', true), undefined);
  assert.equal(choice('linux/s390x'), undefined);
  assert.equal(choosePlatform([...offered, entry(9)], parsePlatform('linux/s390x'))?.size, 9);
  assert.equal(choosePlatform([entry(9), ...offered], parsePlatform('linux/arm64'))?.size, 3);
});

test('a newer processor runs older variants, not the reverse', () => {
  const runs = (machine: string, image: string): boolean =>
    matchesPlatform(parsePlatform(machine), parsePlatform(image));
  assert.ok(runs('linux/amd64/v3', 'linux/amd64/v2'));
  assert.ok(!runs('linux/amd64/v2', 'linux/amd64/v3'));
  assert.ok(runs('linux/arm64', 'linux/arm/v6'));
  assert.ok(!runs('linux/arm/v7', 'linux/arm64'));
});
