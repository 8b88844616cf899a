import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { startTestRegistry } from '../../src/registry/testing/index.ts';
import { basic, writeHtpasswd } from './auth-fixtures.ts';
import { accessibilityProblems, follow, openPage, startBrowser, tabTo } from './browser.ts';
import { ClientWith, pushBuiltImage, pushIndex } from './pages-content.ts';
import { temporaryFolder } from './programs.ts';

test('a person browses, searches, logs in and deletes with a keyboard and a real browser', async (t) => {
  const browser = await startBrowser(t);
  if (!browser) return;
  const htpasswd = writeHtpasswd(join(temporaryFolder(t), 'htpasswd'), { alice: 'wonderland' });
  const registry = await startTestRegistry(t, {
    auth: {
      htpasswd: { path: htpasswd },
      rules: [
        { name: 'open', who: ['everyone'], repositories: ['public/**'], actions: ['pull'] },
        { name: 'alice', who: ['user:alice'], repositories: ['**'], actions: ['*'] },
      ],
    },
    quotas: [{ namespace: 'team', bytes: '1MiB' }],
  });
  const alice = new ClientWith(registry.url, basic('alice', 'wonderland'));
  await pushIndex(alice, 'public/tools', 'v1');
  await pushBuiltImage(alice, 'team/app', 'v1');
  await pushBuiltImage(alice, 'team/app', 'v2', { content: 'another' });

  const context = await browser.newContext();
  const { page, complaints } = await openPage(context, registry.url);
  const heading = async (): Promise<string> => (await page.textContent('h1')) ?? '';
  const checked = new Set<string>();
  const check = async (): Promise<void> => {
    const title = await heading();
    assert.deepEqual(await accessibilityProblems(page), [], title);
    // The dark scheme has other colours, and nothing else that is another.
    await page.emulateMedia({ colorScheme: 'dark' });
    assert.deepEqual(await accessibilityProblems(page, ['color-contrast']), [], `${title}, dark`);
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize({ width: 320, height: 640 });
    const width = await page.evaluate('document.documentElement.scrollWidth');
    assert.ok(Number(width) <= 320, `${title} is ${String(width)} wide on a screen of 320`);
    await page.setViewportSize({ width: 1280, height: 720 });
    checked.add(title);
  };

  await t.test('from the list to a layer', async () => {
    await page.goto(registry.url);
    assert.equal(await heading(), 'Repositories');
    assert.equal(await page.locator('text=team').count(), 0, 'what one may not see is not shown');
    await check();
    await follow(page, 'public/');
    await follow(page, 'tools');
    assert.match((await page.textContent('tbody')) ?? '', /linux\/amd64, linux\/arm64/);
    await check();
    await follow(page, 'v1');
    assert.equal(await heading(), 'public/tools:v1');
    assert.match((await page.textContent('main')) ?? '', /SBOM.*application\/spdx\+json/s);
    await check();
    await follow(page, 'linux/arm64');
    const rows = await page.locator('tr[id^="layer-"]').allTextContents();
    assert.equal(rows.length, 2);
    assert.match(rows[0] ?? '', /ADD file:base in/);
    await check();
    const digest = (await page.textContent('#layer-1 td.digest')) ?? '';
    await follow(page, digest.trim());
    assert.equal(await heading(), `Blob ${digest.trim()}`);
    await check();
  });

  await t.test('a login, where there is more to see', async () => {
    await page.goto(`${registry.url}/ui/r/team/app`);
    assert.equal(await heading(), 'Log in');
    await check();
    await tabTo(page, 'user');
    await page.keyboard.type('alice');
    await page.keyboard.press('Tab');
    await page.keyboard.type('wrong');
    await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
    assert.match((await page.textContent('[role=alert]')) ?? '', /wrong user name or password/);
    await tabTo(page, 'user');
    await page.keyboard.type('alice');
    await page.keyboard.press('Tab');
    await page.keyboard.type('wonderland');
    await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
    assert.equal(await heading(), 'team/app');
    assert.match((await page.textContent('main')) ?? '', /of 1MiB \(\d+ %\) of the quota of namespace team/);
    const [cookie] = await context.cookies();
    assert.deepEqual([cookie?.httpOnly, cookie?.sameSite], [true, 'Strict']);
    await check();
  });

  await t.test('a search', async () => {
    await tabTo(page, 'q');
    await page.keyboard.type('app:v');
    await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
    const found = await page.locator('tbody th').allTextContents();
    assert.deepEqual(found, ['team/app:v1', 'team/app:v2']);
    await check();
  });

  await t.test('a tag is deleted after a question', async () => {
    await follow(page, 'team/app:v1');
    assert.equal(await page.locator('script, img').count(), 0, 'labels are text');
    await check();
    await follow(page, 'Delete this tag…');
    await check();
    await follow(page, 'Delete');
    assert.equal(await heading(), 'team/app');
    assert.deepEqual(await page.locator('tbody th').allTextContents(), ['v2']);
    assert.equal((await alice.call('HEAD', '/v2/team/app/manifests/v1')).status, 404);
  });

  await t.test('dark where the system is, and a way out', async () => {
    const back = 'getComputedStyle(document.body).backgroundColor';
    await page.emulateMedia({ colorScheme: 'dark' });
    const dark = await page.evaluate(back);
    await page.emulateMedia({ colorScheme: 'light' });
    assert.deepEqual([dark, await page.evaluate(back)], ['rgb(18, 22, 27)', 'rgb(255, 255, 255)']);
    await follow(page, 'Log out');
    assert.equal(await page.locator('text=team').count(), 0);
    assert.deepEqual(await context.cookies(), []);
  });

  await t.test('what is wrong with a page is found', async () => {
    await page.evaluate(`document.querySelector('label').remove(); document.documentElement.lang = ''`);
    assert.ok((await accessibilityProblems(page)).length > 0);
  });

  // A refused password is an answer that the console reports; nothing else may be there.
  const others = complaints.filter((text) => !text.includes('status of 403'));
  assert.deepEqual(others, []);
  assert.ok(checked.size >= 9, [...checked].join(', '));
});
