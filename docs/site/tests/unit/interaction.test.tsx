import assert from 'node:assert/strict';
import {after, afterEach, before, test} from 'node:test';

import {GlobalRegistrator} from '@happy-dom/global-registrator';
import type * as Library from '@testing-library/react';

import {MatrixFromFiles} from '../../src/components/CompatibilityMatrix/MatrixFromFiles';
import {details, history, matrix} from '../fixtures/samples';

let library: typeof Library;

before(async () => {
  GlobalRegistrator.register({url: 'http://localhost/page'});
  library = await import('@testing-library/react');
});
afterEach(() => {
  library.cleanup();
  window.location.hash = '';
});
after(() => GlobalRegistrator.unregister());

function open() {
  library.render(<MatrixFromFiles matrix={matrix} details={details} history={history} />);
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
