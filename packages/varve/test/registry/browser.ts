import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { TestContext } from 'node:test';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { atEnd } from '../../src/registry/testing/index.ts';

const executablePath = '/usr/bin/chromium';
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Starts Debian's Chromium; where there is none the test is skipped, but not where everything has to be run. */
export async function startBrowser(t: TestContext): Promise<Browser | undefined> {
  const required = process.env['CI'] === 'true';
  if (!existsSync(executablePath) && !required) {
    t.skip(`there is no ${executablePath}: scripts/setup --test installs it`);
    return undefined;
  }
  try {
    // Its sandbox does not run as root, and what it is shown here is ours.
    const browser = await chromium.launch({
      executablePath,
      args: ['--no-sandbox', '--disable-dev-shm-usage'],
    });
    atEnd(t, () => browser.close());
    return browser;
  } catch (error) {
    if (required) throw error;
    t.skip(`Chromium does not start here: ${(error as Error).message.split('\n')[0]}`);
    return undefined;
  }
}

/** A page, with everything that must not happen on it. */
export interface WatchedPage {
  readonly page: Page;
  /** Errors of the console and of scripts, and requests to other hosts. */
  readonly complaints: readonly string[];
}

export async function openPage(context: BrowserContext, url: string): Promise<WatchedPage> {
  await context.addInitScript({ content: axeSource });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => {
    if (!request.url().startsWith('data:') && new URL(request.url()).origin !== new URL(url).origin) {
      complaints.push(`a request to ${request.url()}`);
    }
  });
  page.setDefaultTimeout(30_000);
  return { page, complaints };
}

/** Presses Tab until something with this text or name has the focus, and sees that one can see it. */
export async function tabTo(page: Page, text: string): Promise<void> {
  const seen: string[] = [];
  for (let pressed = 0; pressed < 80; pressed++) {
    await page.keyboard.press('Tab');
    const [name, outline] = await page.evaluate<[string, string]>(`(() => {
      const at = document.activeElement;
      return [at.textContent.trim() || at.name || at.id, getComputedStyle(at).outlineStyle];
    })()`);
    seen.push(name.slice(0, 40));
    if (name !== text) continue;
    if (outline === 'none') throw new Error(`the focus on ${text} cannot be seen`);
    return;
  }
  throw new Error(`Tab does not lead to ${text}: ${seen.join(' | ')}`);
}

/** Tab to it, then Enter, and wait for the page that follows. */
export async function follow(page: Page, text: string): Promise<void> {
  await tabTo(page, text);
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
}

/** What axe finds against WCAG 2.2 A and AA, and its best practices; or against some of its rules only. */
export async function accessibilityProblems(page: Page, rules?: readonly string[]): Promise<string[]> {
  const options = JSON.stringify(rules ? { runOnly: rules } : {});
  return await page.evaluate<string[]>(
    `axe.run(${options}).then(({ violations }) => violations.flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => id + ' ' + target.join(' ') + ': ' + failureSummary)))`,
  );
}
