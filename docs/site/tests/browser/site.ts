import {readFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {extname, join, normalize} from 'node:path';
import {fileURLToPath} from 'node:url';

import {chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Page} from 'playwright-core';

const BUILD = fileURLToPath(new URL('../../build/', import.meta.url));

const MEDIA_TYPES: Record<string, string> = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
};

/** The page that is published, as opposed to the pages under `/test/`. */
export const PUBLISHED = '/docs/tutorials/claude-code-compatibility';

/** The time of every test unless it says otherwise: two hours after the fixtures' matrix was made. */
export const NOW = '2026-11-21T10:00:30Z';

export type Site = {
  address: string;
  browser: Browser;
  /** Opens a page of the built site with a fixed clock, and closes it when the test `body` is over. */
  visit: (path: string, body: (page: Page) => Promise<void>, options?: VisitOptions) => Promise<void>;
  close: () => Promise<void>;
};

export type VisitOptions = BrowserContextOptions & {now?: string};

/** Serves the built site on loopback and starts Debian's Chromium. */
export async function openSite(): Promise<Site> {
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname));
    for (const name of [path, `${path}.html`, join(path, 'index.html')]) {
      try {
        const body = await readFile(join(BUILD, name));
        response.writeHead(200, {'content-type': MEDIA_TYPES[extname(name)] ?? 'application/octet-stream'}).end(body);
        return;
      } catch {
        // The next name.
      }
    }
    response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  return {
    address,
    browser,
    visit: async (path, body, {now = NOW, ...options} = {}) => {
      const context = await browser.newContext({
        viewport: {width: 1280, height: 900},
        locale: 'en-US',
        timezoneId: 'Europe/Berlin',
        ...options,
      });
      try {
        const page = await openPage(context, now, options.javaScriptEnabled !== false);
        await page.goto(`${address}${path}`);
        if (options.javaScriptEnabled !== false) {
          await hydrated(page);
        }
        await body(page);
      } finally {
        await context.close();
      }
    },
    close: async () => {
      await browser.close();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function openPage(context: BrowserContext, now: string, scripts: boolean): Promise<Page> {
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  if (scripts) {
    await page.clock.setFixedTime(new Date(now));
  }
  return page;
}

/** Waits until the component is interactive, or shows a placeholder. */
async function hydrated(page: Page): Promise<void> {
  await page.locator('[data-live], main [role="alert"]').first().waitFor();
}
