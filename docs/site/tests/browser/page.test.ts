import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {after, before, test} from 'node:test';

import axe from 'axe-core';
import type {Locator, Page} from 'playwright-core';

import {providerName} from '../../src/components/CompatibilityMatrix/names';
import {LONG_LINK} from '../fixtures/samples';
import {openSite, PUBLISHED, type Site} from './site';

const PHONE = {viewport: {width: 390, height: 844}, deviceScaleFactor: 2, hasTouch: true, isMobile: true};
const DARK = {colorScheme: 'dark'} as const;

const FAILING = 'prompt_caching_5m::bedrock_converse';
const NOT_APPLICABLE = 'extended_thinking::bedrock_invoke';
const NOT_TESTED = 'extended_thinking::azure';
const PASSING = 'vision::azure';

const EXPLANATIONS: [cell: string, sign: string, text: RegExp][] = [
  [PASSING, '✓', /^Tested & passing$/],
  [FAILING, '✗', /the provider did not receive a cache_control mark/],
  [NOT_APPLICABLE, '—', /^Bedrock Invoke does not offer extended thinking\.$/],
  [NOT_TESTED, '?', /^A live run does not test this\. No prompt makes a model think\.$/],
];

let site: Site;

before(async () => {
  site = await openSite();
});
after(() => site.close());

function cell(page: Page, id: string): Locator {
  return page.locator(`[id="${id}"] a`);
}

function tooltip(page: Page): Locator {
  return page.getByRole('tooltip');
}

function table(page: Page): Locator {
  return page.getByRole('region', {name: 'Claude Code features by provider'});
}

async function background(locator: Locator): Promise<string> {
  return locator.evaluate((element) => getComputedStyle(element).backgroundColor);
}

async function faultsFoundByAxe(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const {violations} = await page.evaluate(() => (window as unknown as {axe: typeof axe}).axe.run());
  return violations.flatMap(({id, nodes}) => nodes.map(({html}) => `${id}: ${html}`));
}

async function widthBeyondWindow(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
}

async function isWithinWindow(locator: Locator): Promise<boolean> {
  return locator.evaluate((element) => {
    const {left, right, top, bottom} = element.getBoundingClientRect();
    return left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight;
  });
}

function published(name: string) {
  return JSON.parse(readFileSync(join(__dirname, '../../static/data', name), 'utf8'));
}

test('the text of the published page names the tiers of the published run', async () => {
  const {tiers} = published('compatibility-details.json');
  await site.visit(PUBLISHED, async (page) => {
    const text = (await page.locator('article p', {hasText: 'Each test runs once on each'}).innerText()).replace(/\s+/g, ' ');
    for (const {name} of tiers) {
      assert.ok(text.includes(name), `${name}: ${text}`);
    }
  });
});

test('the published page shows every cell of the published file', async () => {
  const file = published('compatibility-matrix.json');
  await site.visit(PUBLISHED, async (page) => {
    assert.equal(await page.getByRole('table', {name: 'Claude Code features by provider'}).count(), 1);
    for (const feature of file.features) {
      for (const provider of file.providers) {
        const status = await cell(page, `${feature.id}::${provider}`).getAttribute('data-status');
        assert.equal(status, feature.providers[provider].status);
      }
    }
    const data = page.getByRole('navigation', {name: 'Data of this page'}).getByRole('link');
    assert.deepEqual(await data.allTextContents(), [
      'Matrix (JSON)',
      'Details (JSON)',
      'Versions (JSON)',
      'Changes (Atom)',
      'Tests',
    ]);
    const addresses = await Promise.all((await data.all()).map((link) => link.getAttribute('href')));
    assert.match(addresses.pop() ?? '', /^https:\/\/github\.com\/.*\/tests\/claude_code$/);
    for (const address of addresses) {
      const reply = await (await page.request.get(new URL(address ?? '', page.url()).href)).text();
      assert.match(reply, address?.endsWith('.xml') ? /<feed xmlns="http:\/\/www\.w3\.org\/2005\/Atom">/ : /"schema_version": ?"1"/);
    }
    assert.ok(await page.getByText(file.litellm_version, {exact: true}).isVisible());
    assert.ok(await page.getByText(file.claude_code_version, {exact: true}).isVisible());
  });
});

test('each status has a sign and a colour of its own, light and dark', async () => {
  for (const options of [{}, DARK]) {
    await site.visit(
      '/test/all',
      async (page) => {
        const colours = new Set<string>();
        for (const [id, sign] of EXPLANATIONS) {
          assert.equal(await cell(page, id).locator('[aria-hidden]').first().textContent(), sign);
          colours.add(await background(cell(page, id)));
        }
        assert.equal(colours.size, 4);
      },
      options,
    );
  }
});

test('the mouse shows a tooltip, which stays while the mouse is on it, and takes it away', async () => {
  await site.visit('/test/all', async (page) => {
    assert.equal(await tooltip(page).isVisible(), false);
    for (const [id, , text] of EXPLANATIONS) {
      await cell(page, id).hover();
      await tooltip(page).filter({hasText: /./}).waitFor();
      assert.match((await tooltip(page).innerText()).trim(), text);
      assert.ok(await isWithinWindow(tooltip(page)));
    }
    await tooltip(page).hover();
    // Longer than a bubble waits for a pointer on its way.
    await page.waitForTimeout(300);
    assert.ok(await tooltip(page).isVisible());
    await page.mouse.move(5, 5);
    await tooltip(page).waitFor({state: 'hidden'});
  });
});

test('the keyboard shows a tooltip, and Escape takes it away', async () => {
  await site.visit('/test/all', async (page) => {
    await cell(page, 'prompt_caching_5m::bedrock_invoke').focus();
    await page.keyboard.press('ArrowRight');
    await tooltip(page).waitFor();
    assert.match(await tooltip(page).innerText(), EXPLANATIONS[1]![2]);
    await page.keyboard.press('Escape');
    await tooltip(page).waitFor({state: 'hidden'});
    await page.keyboard.press('ArrowRight');
    await tooltip(page).waitFor();
    assert.equal(await tooltip(page).innerText(), 'This run did not test the combination on every model.');
  });
});

test('a tap shows a tooltip, a tap elsewhere takes it away, a second tap opens the panel', async () => {
  await site.visit(
    '/test/all',
    async (page) => {
      for (const [id, , text] of EXPLANATIONS) {
        await page.getByRole('button', {name: providerName(id.split('::')[1]!)}).tap();
        await cell(page, id).tap();
        await tooltip(page).waitFor();
        const [said, hint] = (await tooltip(page).innerText()).split(/\n(?=Tap)/);
        assert.match(said?.trim() ?? '', text);
        assert.equal(hint, 'Tap again for details');
        assert.ok(await isWithinWindow(tooltip(page)));
        assert.equal(await page.getByRole('dialog').count(), 0);
      }
      await page.getByRole('button', {name: '2 hours ago'}).tap();
      await tooltip(page).getByText('Your time zone').waitFor();
      assert.ok(await isWithinWindow(tooltip(page)));
      await page.getByRole('heading', {level: 1}).tap();
      await tooltip(page).waitFor({state: 'hidden'});
      await page.getByRole('button', {name: providerName(FAILING.split('::')[1]!)}).tap();
      await cell(page, FAILING).tap();
      await tooltip(page).waitFor();
      await cell(page, FAILING).tap();
      await page.getByRole('dialog').waitFor();
      assert.equal(await tooltip(page).isVisible(), false);
    },
    PHONE,
  );
});

test('screen readers get the text of tooltips', async () => {
  await site.visit('/test/all', async (page) => {
    const link = page.getByRole('link', {name: 'Not tested: Extended thinking on Azure (Foundry)'});
    const described = await link.evaluate(
      (element) => document.getElementById(element.getAttribute('aria-describedby') ?? '')?.textContent,
    );
    assert.equal(described, 'A live run does not test this. No prompt makes a model think.');
  });
});

test('a phone shows one provider at a time', async () => {
  await site.visit(
    '/test/all',
    async (page) => {
      const columns = async () => (await page.getByRole('columnheader').allInnerTexts()).map((text) => text.split('\n')[0]);
      assert.equal(await widthBeyondWindow(page), 0);
      assert.deepEqual(await columns(), ['Feature', 'Anthropic']);
      await page.getByRole('button', {name: 'Vertex AI'}).tap();
      assert.deepEqual(await columns(), ['Feature', 'Vertex AI']);
      assert.equal(await table(page).evaluate((element) => element.scrollWidth - element.clientWidth), 0);
    },
    PHONE,
  );
});

test('a small window scrolls the table, not the page, and keeps the features in sight', async () => {
  await site.visit(
    '/test/all',
    async (page) => {
      assert.equal(await widthBeyondWindow(page), 0);
      const {hidden} = await table(page).evaluate((element) => ({hidden: element.scrollWidth - element.clientWidth}));
      assert.ok(hidden > 0);
      await table(page).evaluate((element) => element.scrollTo(element.scrollWidth, 0));
      const left = (locator: Locator) => locator.evaluate((element) => element.getBoundingClientRect().left);
      assert.ok(Math.abs((await left(page.getByRole('rowheader').first())) - (await left(table(page)))) <= 1);
      assert.ok(await page.getByRole('columnheader', {name: 'Azure (Foundry)'}).isVisible());
    },
    {viewport: {width: 660, height: 800}},
  );
});

/** How dark the edges of the table are where more of it is to come: at the side, and below. */
async function shadesOfEdges(page: Page): Promise<number[]> {
  return table(page).evaluate((element) =>
    ['::before', '::after'].map((edge) => Number(getComputedStyle(element.parentElement!, edge).opacity)),
  );
}

test('a table that scrolls says so before it is scrolled', async () => {
  await site.visit(
    '/test/six-columns',
    async (page) => {
      const hint = page.getByText('Scroll the table sideways for more providers and down for more features.');
      assert.ok(await hint.isVisible());
      assert.deepEqual(await shadesOfEdges(page), [1, 1]);
      await table(page).evaluate((element) => element.scrollTo(element.scrollWidth, element.scrollHeight));
      await page.waitForFunction(
        (element) => getComputedStyle(element!.parentElement!, '::before').opacity === '0',
        await table(page).elementHandle(),
      );
      assert.deepEqual(await shadesOfEdges(page), [0, 0]);
    },
    {viewport: {width: 660, height: 800}},
  );
  await site.visit('/test/all', async (page) => {
    assert.equal(await page.getByText(/^Scroll the table/).count(), 0);
    assert.deepEqual(await shadesOfEdges(page), [0, 0]);
  });
});

test('34 features on 6 providers are read on a phone', async () => {
  await site.visit(
    '/test/six-columns',
    async (page) => {
      assert.equal(await widthBeyondWindow(page), 0);
      assert.ok(await page.getByText('Scroll the table down for more features.').isVisible());
      assert.equal(await table(page).evaluate((element) => element.scrollWidth - element.clientWidth), 0);
      const width = (locator: Locator) => locator.evaluate((element) => element.getBoundingClientRect().width);
      assert.ok((await width(page.getByRole('rowheader').nth(1))) > 0.6 * (await width(table(page))));
      await page.getByText('Models and settings of this run').tap();
      await page.getByText('What fails, and why').tap();
      assert.equal(await widthBeyondWindow(page), 0);
    },
    PHONE,
  );
});

test('34 features on 6 providers are reached by arrow keys, each in sight', async () => {
  await site.visit(
    '/test/six-columns',
    async (page) => {
      const times = (key: string, count: number) => Array<string>(count).fill(key);
      const reached = new Set<string>();
      await page.getByRole('button', {name: 'Category 1 6'}).focus();
      for (const key of [...times('ArrowDown', 39), ...times('ArrowRight', 5), ...times('ArrowUp', 39)]) {
        await page.keyboard.press(key);
        const {id, focused, seen} = await table(page).evaluate((element) => {
          const stop = document.activeElement!;
          const rowHead = stop.closest('td')?.parentElement?.querySelector('th');
          const box = element.getBoundingClientRect();
          return {
            id: stop.closest('td')?.id ?? '',
            focused: stop.getBoundingClientRect().toJSON(),
            seen: {
              top: Math.max(
                element.querySelector('thead th')!.getBoundingClientRect().bottom,
                document.querySelector('nav.navbar')!.getBoundingClientRect().bottom,
              ),
              bottom: Math.min(box.bottom, innerHeight),
              left: rowHead?.getBoundingClientRect().right ?? box.left,
              right: box.right,
            },
          };
        });
        reached.add(id);
        const isSeen =
          focused.top >= seen.top - 1 &&
          focused.bottom <= seen.bottom + 1 &&
          focused.left >= seen.left - 1 &&
          focused.right <= seen.right + 1;
        assert.ok(isSeen, `${key} to ${id}: ${JSON.stringify({focused, seen})}`);
      }
      for (let row = 1; row <= 34; row += 1) {
        assert.ok(reached.has(`row_${row}::anthropic`) && reached.has(`row_${row}::bedrock_mantle`), `row ${row}`);
      }
    },
    {viewport: {width: 660, height: 800}},
  );
});

/** A sheet of A4 with the usual margins, in CSS pixels. */
const PAPER = {width: 718, height: 1047};

test('in print nine columns fit, signs stay, and the legend and folded texts are there', async () => {
  for (const viewport of [PAPER, PHONE.viewport]) {
    await site.visit(
      '/test/nine-columns',
      async (page) => {
        await page.emulateMedia({media: 'print'});
        await page.setViewportSize(PAPER);
        assert.equal(await page.getByRole('columnheader').count(), 10);
        assert.equal(await widthBeyondWindow(page), 0);
        const cut = await table(page).evaluate((element) => {
          const parts = [...element.querySelectorAll('th, td > a')].map((part) => part.getBoundingClientRect());
          return {
            cells: parts.filter(({left, right, width}) => left < 0 || right > innerWidth || width < 20).length,
            scrolls: element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 1,
            brokenWords: [...element.querySelectorAll('thead th')].flatMap((head) => {
              const name = head.firstChild as Text;
              return [...name.data.matchAll(/\S+/g)].flatMap(({0: word, index}) => {
                const range = document.createRange();
                range.setStart(name, index);
                range.setEnd(name, index + word.length);
                return range.getClientRects().length > 1 ? [word] : [];
              });
            }),
          };
        });
        assert.deepEqual(cut, {cells: 0, scrolls: false, brokenWords: []});
        const signs = await table(page)
          .locator('td > a > [aria-hidden]')
          .evaluateAll((glyphs) =>
            glyphs.map((glyph) => {
              const {color, visibility} = getComputedStyle(glyph);
              const {backgroundColor} = getComputedStyle(document.body);
              return glyph.getClientRects().length > 0 && visibility === 'visible' && color !== backgroundColor && glyph.textContent;
            }),
          );
        assert.equal(signs.length, 34 * 9);
        assert.deepEqual(new Set(signs), new Set(['✓', '✓*', '✗', '—', '?']));
        for (const legend of [/✓\s*Passing/, /✓\*\s*Works, unfaithful/, /✗\s*Failing/, /—\s*Not applicable/, /\?\s*Not tested/]) {
          const entry = page.getByRole('group', {name: 'Status'}).getByRole('button').filter({hasText: legend});
          assert.ok(await entry.isVisible(), String(legend));
        }
        assert.equal(await page.getByText(/^Scroll the table/).isVisible(), false);
        assert.ok(await page.getByText('claude-opus-5-5-bedrock-mantle').isVisible());
        assert.ok((await page.locator('dd').getByText(/x{600}/).last().boundingBox())!.height > 100);
      },
      {...(viewport === PAPER ? {} : PHONE), viewport},
    );
  }
});

test('the line of a category folds its rows by mouse and by keyboard', async () => {
  await site.visit('/test/grouped', async (page) => {
    const fold = page.getByRole('button', {name: 'Messages 3'});
    const folded = cell(page, 'basic_messaging_streaming::azure');
    await fold.click();
    assert.equal(await folded.isVisible(), false);
    await page.emulateMedia({media: 'print'});
    assert.ok(await folded.isVisible());
    await page.emulateMedia({media: 'screen'});
    await page.keyboard.press('Enter');
    assert.ok(await folded.isVisible());
    await page.keyboard.press('ArrowDown');
    assert.equal(
      await page.evaluate(() => document.activeElement?.closest('td')?.id),
      'basic_messaging_non_streaming::anthropic',
    );
  });
});

test('a date in the future is shown', async () => {
  await site.visit(
    '/test/all',
    async (page) => assert.ok(await page.getByText('These results are dated in the future.').isVisible()),
    {now: '2026-11-20T00:00:00Z'},
  );
});

test('whatever a panel tells, it fits into the panel', async () => {
  for (const options of [{}, {...PHONE, viewport: {width: 320, height: 640}}]) {
    for (const id of [FAILING, 'vision::bedrock_converse', 'tool_use::azure', NOT_APPLICABLE]) {
      await site.visit(
        `/test/all#${id}`,
        async (page) => {
          const panel = page.getByRole('dialog');
          await panel.waitFor();
          for (const folded of await panel.locator('summary').all()) {
            await folded.click();
          }
          assert.equal(await panel.evaluate((element) => element.scrollWidth - element.clientWidth), 0, id);
        },
        options,
      );
    }
  }
});

test('on the narrowest phone nothing but the table scrolls sideways', async () => {
  for (const path of [PUBLISHED, '/test/all#vision::bedrock_converse', '/test/malformed', '/test/foreign-details']) {
    await site.visit(path, async (page) => assert.equal(await widthBeyondWindow(page), 0, path), {
      ...PHONE,
      viewport: {width: 320, height: 640},
    });
  }
});

test('a cell with the keyboard’s focus is not behind the column of features', async () => {
  await site.visit(
    '/test/all',
    async (page) => {
      await cell(page, 'vision::azure').focus();
      await page.keyboard.press('ArrowLeft');
      await page.keyboard.press('ArrowLeft');
      await page.keyboard.press('ArrowLeft');
      const focused = await page.evaluate(() => document.activeElement?.getBoundingClientRect().left ?? 0);
      const column = await page
        .getByRole('rowheader')
        .first()
        .evaluate((element) => element.getBoundingClientRect().right);
      assert.ok(focused >= column - 1, `${focused} is left of ${column}`);
    },
    {viewport: {width: 660, height: 844}},
  );
});

test('a recent matrix tells its age, and on hover and focus its time in the reader’s time zone', async () => {
  for (const [timezoneId, time] of [
    ['Europe/Berlin', /Saturday.? 21 November 2026.* 09:00:00/],
    ['America/Los_Angeles', /Saturday.? 21 November 2026.* 00:00:00/],
    ['Australia/Adelaide', /Saturday.? 21 November 2026.* 18:30:00/],
  ] as const) {
    await site.visit(
      '/test/all',
      async (page) => {
        const updated = page.getByRole('button', {name: '2 hours ago'});
        await updated.hover();
        await tooltip(page).waitFor();
        assert.match(await tooltip(page).innerText(), time);
        assert.match(await tooltip(page).innerText(), new RegExp(`Your time zone: ${timezoneId}`));
        await page.mouse.move(5, 5);
        await tooltip(page).waitFor({state: 'hidden'});
        await page.keyboard.press('Tab');
        await updated.focus();
        await tooltip(page).waitFor();
        assert.match(await tooltip(page).innerText(), time);
      },
      {timezoneId},
    );
  }
});

test('an age has a suitable unit, and an old matrix shows its date', async () => {
  for (const [now, told] of [
    ['2026-11-21T08:00:20Z', 'just now'],
    ['2026-11-21T08:01:00Z', '1 minute ago'],
    ['2026-11-21T08:59:59Z', '59 minutes ago'],
    ['2026-11-21T09:00:00Z', '1 hour ago'],
    ['2026-11-22T08:00:00Z', '1 day ago'],
    ['2026-11-28T07:59:59Z', '6 days ago'],
    ['2026-11-28T08:00:00Z', '21 November 2026'],
    ['2027-11-28T08:00:00Z', '21 November 2026'],
  ] as const) {
    await site.visit(
      '/test/all',
      async (page) => {
        await page.getByRole('button', {name: told, exact: true}).waitFor();
      },
      {now},
    );
  }
});

test('only an old matrix is called stale', async () => {
  const stale = 'These results are 7 days old.';
  await site.visit('/test/all', (page) => page.getByText(stale).waitFor(), {now: '2026-11-28T08:00:00Z'});
  await site.visit(
    '/test/all',
    async (page) => assert.equal(await page.getByText(/days old/).count(), 0),
    {now: '2026-11-28T07:59:00Z'},
  );
});

test('dark mode darkens the page’s matrix', async () => {
  const lightness = async (page: Page) => {
    const [red = 0, green = 0, blue = 0] = (await background(cell(page, PASSING))).match(/\d+/g)?.map(Number) ?? [];
    return (red + green + blue) / 3;
  };
  await site.visit('/test/all', async (page) => assert.ok((await lightness(page)) > 200));
  await site.visit('/test/all', async (page) => assert.ok((await lightness(page)) < 60), DARK);
});

test('a matrix that cannot be shown leaves a placeholder and no table', async () => {
  for (const [path, words] of [
    ['/test/other-version', /schema version "2"/],
    ['/test/malformed', /features\[0\]\.providers\.anthropic\.error/],
    ['/test/missing', /Nothing has been published yet/],
  ] as const) {
    await site.visit(path, async (page) => {
      assert.match(await page.getByRole('alert').innerText(), words);
      assert.equal(await page.getByRole('table').count(), 0);
    });
  }
});

test('details of another run are left out, and the page says so', async () => {
  await site.visit('/test/foreign-details', async (page) => {
    assert.ok(await page.getByText(/The details file is left out/).isVisible());
    await cell(page, 'vision::bedrock_converse').click();
    assert.equal(await page.getByRole('dialog').getByText('Models').count(), 0);
    assert.equal(await page.getByRole('heading', {name: /Findings/}).count(), 0);
  });
});

test('the panel tells tiers, cause, clause, evidence, the past and the way to reproduce it', async () => {
  await site.visit('/test/all', async (page) => {
    await cell(page, 'vision::bedrock_converse').focus();
    await page.keyboard.press('Enter');
    const panel = page.getByRole('dialog', {name: 'Vision on Bedrock (Converse)'});
    await panel.waitFor();
    const text = await panel.innerText();
    for (const part of [
      /Haiku\s+Passing/,
      /Sonnet\s+Failing[^]*Model claude-sonnet\n/,
      /2 attempts · 1 min 11 s\n/,
      /Cause\s+Gateway/,
      /\(sent by claude, absent at the provider\)/,
      /Haiku\s+Passing after a failed attempt/,
      /On the wire\s+messages\[0\]\.content\[1\]: an image block went in/,
      /Next\s+compare wire-diff\.txt/,
      /Contract clause\s+messages#image-base64/,
      /Expected\s+an image\/png block of 69 bytes in the last user message/,
      /Found\s+2 text blocks/,
      /Evidence\s+target\/compat\/vision\/bedrock_converse\/sonnet/,
      /1 of 2 expectations held/,
      /1 earlier attempt/,
      /Simulated: /,
      /cargo test --test compat -- --exact vision::bedrock_converse::sonnet/,
      /cargo test --test compat -- --exact vision::bedrock_converse::opus/,
    ]) {
      assert.match(text, part);
    }
    assert.equal(await panel.getByRole('listitem').filter({hasText: 'LiteLLM v1.8'}).count(), 14);
    await page.keyboard.press('Escape');
    await panel.waitFor({state: 'detached'});
    const focused = await page.evaluate(() => document.activeElement?.closest('td')?.id);
    assert.equal(focused, 'vision::bedrock_converse');
    assert.equal(new URL(page.url()).hash, '');
  });
});

test('an unfaithful cell has its own sign, and the colour of a passing one', async () => {
  await site.visit('/test/all', async (page) => {
    const unfaithful = cell(page, 'tool_use::azure');
    assert.equal(await unfaithful.locator('[aria-hidden]').first().textContent(), '✓*');
    assert.equal(await background(unfaithful), await background(cell(page, PASSING)));
    assert.ok(await page.getByRole('link', {name: 'Works, unfaithful: Tool use on Azure (Foundry)'}).isVisible());
    assert.ok(await page.getByText(/Works, unfaithful: the feature works, but/).isVisible());
    await unfaithful.hover();
    await tooltip(page).waitFor();
    assert.equal(
      (await tooltip(page).innerText()).trim(),
      'Works, unfaithful: The model calls one tool at a time. The provider cannot tell sessions apart.',
    );
  });
});

test('the panel of a cell shows its findings, with a link for a web address only', async () => {
  await site.visit('/test/all', async (page) => {
    await cell(page, 'tool_use::azure').click();
    const panel = page.getByRole('dialog');
    const link = panel.getByRole('link', {name: LONG_LINK.replace('https://', '')});
    assert.equal(await link.getAttribute('href'), LONG_LINK);
    const text = await panel.innerText();
    for (const part of [
      /^✓\* Works, unfaithful/,
      /The model calls one tool at a time\.\s+What broke\s+request 1: beta parallel-calls-2026-01-01 dropped/,
      /Models\s+Haiku, Sonnet, Opus\s+Also in\s+Basic messaging \(streaming\)/,
      /Level\s+Contract: .*\s+Status\s+Known: The table of betas does not have it\. example\.invalid/,
      /The provider cannot tell sessions apart\.[^]*Models\s+Opus\s+Level/,
      /Not measured with this version, known of another: The header is not forwarded\. docs\/findings\/session_on_azure\.md/,
    ]) {
      assert.match(text, part);
    }
    assert.equal(await panel.getByRole('link', {name: /docs\/findings/}).count(), 0);
    await panel.getByRole('link', {name: 'Basic messaging (streaming)'}).click();
    await page.getByRole('dialog', {name: 'Basic messaging (streaming) on Azure (Foundry)'}).waitFor();
  });
});

test('each finding is listed once, with links to its cells', async () => {
  await site.visit('/test/all', async (page) => {
    const section = page.getByRole('region', {name: 'Findings (3)'});
    const text = await section.innerText();
    for (const part of [
      /The model does not see the image\.\s+What broke\s+vision: the provider did not receive the image/,
      /Shows in\s+Bedrock \(Converse\): Vision on Sonnet, Opus/,
      /Level\s+Feature: a user of Claude Code notices it\s+Status\s+New/,
    ]) {
      assert.match(text, part);
    }
    assert.equal(await section.getByText('The model calls one tool at a time.').count(), 1);
    await section.getByRole('link', {name: 'Vision'}).click();
    await page.getByRole('dialog', {name: 'Vision on Bedrock (Converse)'}).waitFor();
  });
});

test('the command and the link of a cell can be copied', async () => {
  const permissions = ['clipboard-read', 'clipboard-write'];
  await site.visit(
    '/test/all',
    async (page) => {
      await cell(page, PASSING).click();
      const panel = page.getByRole('dialog');
      await panel.getByRole('button', {name: 'Copy', exact: true}).click();
      await panel.getByText('Copied').waitFor();
      const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
      assert.equal(await clipboard(), 'cargo test --test compat -- vision::azure::');
      await panel.getByRole('button', {name: 'Copy link to this cell'}).click();
      await page.waitForFunction(async () => (await navigator.clipboard.readText()).endsWith('#vision::azure'));
    },
    {permissions},
  );
});

test('a link to a cell opens its panel, and another link another', async () => {
  await site.visit(`/test/all#${NOT_APPLICABLE}`, async (page) => {
    await page.getByRole('dialog', {name: 'Extended thinking on Bedrock (Invoke)'}).waitFor();
    await page.evaluate((hash) => {
      location.hash = hash;
    }, PASSING);
    await page.getByRole('dialog', {name: 'Vision on Azure (Foundry)'}).waitFor();
    await page.goBack();
    await page.getByRole('dialog', {name: 'Extended thinking on Bedrock (Invoke)'}).waitFor();
  });
  await site.visit('/test/all#vision%3A%3Aazure', async (page) => {
    await page.getByRole('dialog', {name: 'Vision on Azure (Foundry)'}).waitFor();
  });
  await site.visit('/test/all#no::such::cell', async (page) => {
    assert.equal(await page.getByRole('dialog').count(), 0);
  });
});

test('filters leave the rows and columns asked for', async () => {
  await site.visit('/test/all', async (page) => {
    await page.getByRole('button', {name: /^Failing/}).click();
    assert.deepEqual(await page.getByRole('rowheader').allInnerTexts(), ['Prompt caching (5 min TTL)', 'Vision']);
    await page.getByRole('button', {name: 'Azure (Foundry)'}).click();
    await page.getByText('No cell matches this filter.').waitFor();
    await page.getByRole('button', {name: 'Show everything'}).click();
    assert.equal(await page.getByRole('cell').count(), 30);
    await page.getByRole('button', {name: /Works, unfaithful/}).click();
    assert.deepEqual(await page.getByRole('rowheader').allInnerTexts(), ['Basic messaging (streaming)', 'Tool use']);
  });
});

test('50 features on 12 providers keep their heads in sight', async () => {
  await site.visit('/test/large', async (page) => {
    assert.equal(await page.getByRole('cell').count(), 600);
    await table(page).scrollIntoViewIfNeeded();
    await cell(page, 'feature_50::provider_12').scrollIntoViewIfNeeded();
    const edges = await table(page).evaluate((element) => {
      const box = element.getBoundingClientRect();
      const lastColumn = element.querySelector('thead th:last-child')!.getBoundingClientRect();
      const lastRow = element.querySelector('tbody tr:last-child th')!.getBoundingClientRect();
      return {top: lastColumn.top - box.top, left: lastRow.left - box.left};
    });
    assert.ok(Math.abs(edges.top) <= 1 && Math.abs(edges.left) <= 1, JSON.stringify(edges));
    await cell(page, 'feature_50::provider_12').hover();
    await tooltip(page).waitFor();
    assert.ok(await isWithinWindow(tooltip(page)));
  });
});

test('the page asks for nothing but its own files, and for no data', async () => {
  const context = await site.browser.newContext();
  const page = await context.newPage();
  const asked: string[] = [];
  const faults: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  await page.goto(`${site.address}/test/all`, {waitUntil: 'networkidle'});
  await cell(page, FAILING).click();
  await page.getByRole('dialog').waitFor();
  await page.waitForLoadState('networkidle');
  await context.close();
  const foreign = asked.filter((url) => !url.startsWith(`${site.address}/`) || url.endsWith('.json'));
  assert.deepEqual(foreign, []);
  assert.deepEqual(faults, []);
});

test('without scripts the table, the time, the versions and every explanation are there', async () => {
  await site.visit(
    `/test/all#${FAILING}`,
    async (page) => {
      assert.equal(await page.getByRole('cell').count(), 30);
      assert.ok(await page.getByText('21 November 2026, 08:00 UTC').isVisible());
      assert.ok(await page.getByText('v1.83.0-stable').isVisible());
      assert.ok(await page.locator(`[id="${FAILING}"]`).getByText('the provider did not receive').isVisible());
      const inWords = page.getByText('What fails, and why (2)');
      await inWords.click();
      assert.ok(await page.locator('dd').getByText(/expected an image\/png block of 69 bytes/).isVisible());
      assert.equal(await page.getByRole('button', {name: 'Anthropic'}).count(), 0);
    },
    {javaScriptEnabled: false},
  );
});

test('axe finds nothing on any page, light or dark, wide or narrow, closed or open', async () => {
  const panels = ['/test/all#vision::bedrock_converse', '/test/all#tool_use::azure'];
  const pages = [PUBLISHED, '/test/all', '/test/grouped', '/test/six-columns', ...panels];
  for (const options of [{}, DARK, PHONE]) {
    for (const path of [...pages, '/test/other-version', '/test/malformed']) {
      await site.visit(
        path,
        async (page) => {
          assert.deepEqual(await faultsFoundByAxe(page), [], path);
        },
        {...options, reducedMotion: 'reduce', now: '2026-12-03T00:00:00Z'},
      );
    }
  }
  await site.visit('/test/all', async (page) => {
    await page.getByRole('button', {name: /^Failing/}).click();
    await page.getByText('What fails, and why').click();
    await cell(page, 'vision::bedrock_converse').hover();
    await tooltip(page).waitFor();
    assert.deepEqual(await faultsFoundByAxe(page), [], 'filtered');
  });
  for (const options of [{}, DARK, PHONE]) {
    await site.visit(
      '/test/six-columns',
      async (page) => {
        await page.getByText('Models and settings of this run').click();
        await page.getByText('What fails, and why').click();
        await page.getByText('Show all').first().click();
        assert.ok(await page.getByText('Show less').first().isVisible());
        assert.deepEqual(await faultsFoundByAxe(page), [], 'unfolded');
      },
      {...options, reducedMotion: 'reduce'},
    );
  }
});
