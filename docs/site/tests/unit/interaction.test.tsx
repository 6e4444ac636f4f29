import assert from 'node:assert/strict';
import {after, afterEach, before, test} from 'node:test';

import {GlobalRegistrator} from '@happy-dom/global-registrator';
import type * as Library from '@testing-library/react';

import {MatrixFromFiles} from '../../src/components/CompatibilityMatrix/MatrixFromFiles';
import {details, grouped, history, matrix, versions} from '../fixtures/samples';

let library: typeof Library;

before(async () => {
  GlobalRegistrator.register({url: 'http://localhost/page'});
  library = await import('@testing-library/react');
});
afterEach(() => {
  library.cleanup();
  window.history.replaceState(null, '', '/page');
});
after(() => GlobalRegistrator.unregister());

function open(file: object = details) {
  library.render(<MatrixFromFiles matrix={matrix} details={file} history={history} />);
  return library.screen;
}

function rowNames(): (string | null)[] {
  return library.screen.getAllByRole('rowheader').map((head) => head.textContent);
}

function columnNames(): (string | null | undefined)[] {
  return library.screen.getAllByRole('columnheader').map((head) => head.firstChild?.textContent);
}

test('a status leaves only the rows that have it', () => {
  const screen = open();
  library.fireEvent.click(screen.getByRole('button', {name: /^Failing/}));
  assert.deepEqual(rowNames(), ['Prompt caching (5 min TTL)', 'Vision']);
  assert.equal(screen.getByRole('status').textContent, '2 of 6 features on 5 of 5 providers');
});

test('an unfaithful cell is found by its mark and as a passing one', () => {
  const screen = open();
  const isSubdued = () => screen.getByRole('link', {name: /Tool use on Azure/}).hasAttribute('data-subdued');
  library.fireEvent.click(screen.getByRole('button', {name: 'Works, unfaithful 2'}));
  assert.deepEqual(rowNames(), ['Basic messaging (streaming)', 'Tool use']);
  assert.equal(isSubdued(), false);
  assert.ok(screen.getByRole('link', {name: 'Passing: Tool use on Anthropic'}).hasAttribute('data-subdued'));
  library.fireEvent.click(screen.getByRole('button', {name: 'Show everything'}));
  library.fireEvent.click(screen.getByRole('button', {name: 'Passing 25'}));
  assert.equal(isSubdued(), false);
});

test('providers leave only their columns, and the rows by what is in them', () => {
  const screen = open();
  library.fireEvent.click(screen.getByRole('button', {name: 'Azure (Foundry)'}));
  assert.deepEqual(columnNames(), ['Feature', 'Azure (Foundry)']);
  library.fireEvent.click(screen.getByRole('button', {name: /Not tested/}));
  assert.deepEqual(rowNames(), ['Extended thinking']);
  library.fireEvent.click(screen.getByRole('button', {name: 'Show everything'}));
  assert.equal(rowNames().length, 6);
});

test('a filter that nothing matches says so', () => {
  const screen = open();
  library.fireEvent.click(screen.getByRole('button', {name: 'Anthropic'}));
  library.fireEvent.click(screen.getByRole('button', {name: /Failing/}));
  assert.ok(screen.getByText('No cell matches this filter.'));
});

test('a cell opens its panel and puts itself into the address', () => {
  const screen = open();
  library.fireEvent.click(screen.getByRole('link', {name: 'Failing: Vision on Bedrock (Converse)'}));
  assert.equal(window.location.hash, '#vision::bedrock_converse');
  const panel = library.within(screen.getByRole('dialog'));
  assert.ok(panel.getByRole('heading', {name: 'Vision on Bedrock (Converse)'}));
  assert.ok(panel.getByText('cargo test --test compat -- --exact vision::bedrock_converse::sonnet'));
  assert.equal(panel.getAllByText('the provider did not receive the image').length, 2);
  library.fireEvent.click(panel.getByRole('button', {name: 'Close'}));
  assert.equal(window.location.hash, '');
  assert.equal(screen.queryByRole('dialog'), null);
});

test('a click that is meant for another tab is left to the browser', () => {
  const screen = open();
  library.fireEvent.click(screen.getByRole('link', {name: 'Passing: Vision on Azure (Foundry)'}), {ctrlKey: true});
  assert.equal(screen.queryByRole('dialog'), null);
});

test('rows are grouped by category, in the order of the first of each, and a category folds', () => {
  const screen = open(grouped);
  const names = () => rowNames().map((name) => name?.split(/(?<=\d)$|(?=The |Words|A repeated)/)[0]);
  assert.deepEqual(names(), [
    'Messages 3',
    'Basic messaging (non-streaming)',
    'Basic messaging (streaming)',
    'Prompt caching (5 min TTL)',
    'Tools 1',
    'Tool use',
    'Images 1',
    'Vision',
    'Other 1',
    'Extended thinking',
  ]);
  assert.ok(screen.getByText('The model runs a command.'));
  library.fireEvent.click(screen.getByRole('button', {name: 'Messages 3', expanded: true}));
  assert.ok(screen.getByRole('button', {name: 'Messages 3', expanded: false}));
  assert.equal(document.querySelectorAll('tr[data-folded]').length, 3);
  assert.equal(screen.getAllByText('2 of 3 pass').length, 1);
  assert.equal(screen.getAllByText('2 of 2 pass').length, 1);
  const fold = screen.getByRole('button', {name: 'Messages 3'});
  fold.focus();
  library.fireEvent.keyDown(fold, {key: 'ArrowDown'});
  assert.equal(document.activeElement?.getAttribute('data-group'), 'group Tools');
});

test('the address keeps the filter, and a link to it opens with the filter', () => {
  const screen = open(grouped);
  const filters = () => new URLSearchParams(window.location.search).toString();
  window.history.replaceState(null, '', '/page?other=1');
  library.fireEvent.click(screen.getByRole('button', {name: 'Tools'}));
  library.fireEvent.click(screen.getByRole('button', {name: 'Azure (Foundry)'}));
  assert.equal(filters(), 'other=1&provider=azure&uses=Tools');
  library.cleanup();
  window.history.replaceState(null, '', '/page?provider=azure&provider=gone&uses=Tools&status=pass');
  const again = open(grouped);
  assert.deepEqual(columnNames(), ['Feature', 'Azure (Foundry)']);
  assert.equal(rowNames().length, 2);
  library.fireEvent.click(again.getByRole('button', {name: 'Show everything'}));
  assert.equal(filters(), '');
});

test('one cell is reached by Tab, its neighbours by arrow keys', () => {
  const screen = open();
  const reached = () => screen.getAllByRole('link').filter((link) => link.matches('[data-cell][data-stop]:not([tabindex="-1"])'));
  assert.deepEqual(
    reached().map((link) => link.closest('td')?.id),
    ['basic_messaging_non_streaming::anthropic'],
  );
  const press = (key: string) => library.fireEvent.keyDown(document.activeElement!, {key});
  const focused = () => document.activeElement?.closest('td')?.id;
  library.act(() => reached()[0]!.focus());
  for (const [key, cell] of [
    ['ArrowRight', 'basic_messaging_non_streaming::bedrock_invoke'],
    ['ArrowDown', 'basic_messaging_streaming::bedrock_invoke'],
    ['End', 'basic_messaging_streaming::azure'],
    ['ArrowRight', 'basic_messaging_streaming::azure'],
    ['Home', 'basic_messaging_streaming::anthropic'],
    ['ArrowUp', 'basic_messaging_non_streaming::anthropic'],
    ['ArrowUp', 'basic_messaging_non_streaming::anthropic'],
  ] as const) {
    press(key);
    assert.equal(focused(), cell, key);
  }
  assert.equal(reached().length, 1);
});

test('an address of a cell that the matrix does not have is shown', () => {
  window.history.replaceState(null, '', '/page#vision::gone');
  const screen = open();
  assert.ok(screen.getByText('vision::gone'));
  assert.equal(screen.queryByRole('dialog'), null);
});

test('a panel tells what its row is about', () => {
  window.history.replaceState(null, '', '/page#basic_messaging_non_streaming::azure');
  const panel = library.within(open(grouped).getByRole('dialog'));
  assert.ok(panel.getByText(/^The gateway answers a request/));
  assert.equal(panel.getByRole('link', {name: 'Documentation'}).getAttribute('href'), 'https://example.invalid/messages');
  assert.equal(
    panel.getByRole('link', {name: 'Contract for gateways'}).getAttribute('href'),
    'https://code.claude.com/docs/en/llm-gateway-protocol#api-formats',
  );
});

test('the best version is that of the ticked features', () => {
  const {screen, render, fireEvent} = library;
  render(<MatrixFromFiles matrix={matrix} versions={versions} />);
  const best = () => screen.getByText(/^Best: /).textContent;
  assert.equal(best(), 'Best: LiteLLM 1.81.0. 2 of 2 cells work, 1 of them unfaithful.');
  const features = screen.getByRole('group', {name: 'Feature'});
  fireEvent.click(library.within(features).getByRole('button', {name: 'Tool use'}));
  assert.equal(best(), 'Best: LiteLLM 1.83.0. 1 of 1 cells work.');
  assert.ok(screen.getByText(/could not be run: it does not start/));
});
