import assert from 'node:assert/strict';
import {test} from 'node:test';

import {renderToStaticMarkup} from 'react-dom/server';

import {MatrixFromFiles} from '../../src/components/CompatibilityMatrix/MatrixFromFiles';
import {details, large, malformed, matrix, otherVersion} from '../fixtures/samples';

function render(file: unknown, detailsFile?: unknown): string {
  return renderToStaticMarkup(<MatrixFromFiles matrix={file} details={detailsFile} />);
}

test('the server sends the whole table: caption, heads of rows and columns, signs and explanations', () => {
  const page = render(matrix);
  assert.match(page, /<table.*<caption[^>]*>Claude Code features by provider/);
  assert.equal(page.match(/<th scope="col"/g)?.length, 6);
  assert.equal(page.match(/<th scope="row"/g)?.length, 6);
  assert.equal(page.match(/<td /g)?.length, 30);
  for (const [status, sign] of [
    ['pass', '✓'],
    ['fail', '✗'],
    ['not_applicable', '—'],
    ['not_tested', '?'],
  ]) {
    assert.match(page, new RegExp(`<a [^>]*data-status="${status}"[^>]*><span [^>]*>\\${sign}</span>`));
  }
  assert.match(page, /Tested &amp; passing/);
  assert.match(page, /No test for this combination yet\./);
  assert.match(page, /Bedrock Invoke does not offer extended thinking\./);
  assert.match(page, /expected an <code>image\/png<\/code> block of 69 bytes/);
});

test('the server tells the time in UTC and both versions', () => {
  const page = render(matrix);
  assert.match(page, /<time dateTime="2026-11-21T08:00:00.000Z">21 November 2026, 08:00 UTC<\/time>/i);
  assert.match(page, /v1\.83\.0-stable/);
  assert.match(page, /2\.1\.120/);
});

test('a matrix of another schema version is not shown', () => {
  const page = render(otherVersion);
  assert.doesNotMatch(page, /<table/);
  assert.match(page, /schema version &quot;2&quot;/);
});

test('a damaged matrix is not shown, and the page says where it is damaged', () => {
  const page = render(malformed);
  assert.doesNotMatch(page, /<table/);
  assert.match(page, /features\[0\]\.providers\.anthropic\.error/);
});

test('a missing matrix has its own words', () => {
  assert.match(render(undefined), /Nothing has been published yet/);
});

test('damaged details cost the details, not the matrix', () => {
  const page = render(matrix, {...details, evidence: 'hearsay'});
  assert.match(page, /<table/);
  assert.match(page, /The details file is left out: <code>evidence: expected one of simulated, live/);
});

test('text of the files cannot become markup', () => {
  const error = '<img src=x onerror=alert(1)> `<b>`';
  const features = [{id: 'vision', name: '<i>Vision</i>', providers: {azure: {status: 'fail', error}}}];
  const page = render({...matrix, providers: ['azure'], features});
  assert.doesNotMatch(page, /<img|<b>|<i>/);
});

test('600 cells are 600 cells', () => {
  assert.equal(render(large).match(/<td /g)?.length, 600);
});
