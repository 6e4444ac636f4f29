import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {test} from 'node:test';

import {readDetails} from '../../src/components/CompatibilityMatrix/data/details';
import {pastOf, readHistory} from '../../src/components/CompatibilityMatrix/data/history';
import {readMatrix, type Matrix} from '../../src/components/CompatibilityMatrix/data/matrix';
import {details, history, matrix, otherVersion} from '../fixtures/samples';

function read(file: unknown): Matrix {
  const result = readMatrix(file);
  assert.equal(result.kind, 'read');
  return (result as {matrix: Matrix}).matrix;
}

function problemOf(file: unknown): string {
  const result = readMatrix(file);
  assert.equal(result.kind, 'malformed');
  return (result as {problem: string}).problem;
}

/** The sample with one feature, whose one cell is `cell`. */
function withCell(cell: unknown) {
  return {...matrix, providers: ['azure'], features: [{id: 'vision', name: 'Vision', providers: {azure: cell}}]};
}

test('rows and columns keep the order of the file', () => {
  const {providers, features} = read(matrix);
  assert.deepEqual(providers, ['anthropic', 'bedrock_invoke', 'bedrock_converse', 'vertex_ai', 'azure']);
  assert.deepEqual(
    features.map(({id}) => id),
    matrix.features.map(({id}) => id),
  );
  for (const feature of features) {
    assert.deepEqual([...feature.providers.keys()], providers);
  }
});

test('the published file is a matrix', () => {
  const file = new URL('../../static/data/compatibility-matrix.json', `file://${__dirname}/`);
  const {providers, features} = read(JSON.parse(readFileSync(file, 'utf8')));
  assert.ok(providers.length > 0 && features.length > 0);
});

test('each status keeps its text', () => {
  for (const cell of [
    {status: 'pass'},
    {status: 'fail', error: 'opus: no tool call'},
    {status: 'not_applicable', reason: 'Azure has no such thing.'},
    {status: 'not_tested'},
  ]) {
    assert.deepEqual(read(withCell(cell)).features[0]?.providers.get('azure'), cell);
  }
});

test('another schema version is reported, and nothing of the file is read', () => {
  assert.deepEqual(readMatrix(otherVersion), {kind: 'other_version', version: '"2"'});
  assert.deepEqual(readMatrix({schema_version: 1}), {kind: 'other_version', version: '1'});
  assert.deepEqual(readMatrix({}), {kind: 'other_version', version: 'none'});
});

test('a file that is not there is missing, not damaged', () => {
  assert.deepEqual(readMatrix(undefined), {kind: 'missing'});
});

test('a fault says where it is', () => {
  assert.match(problemOf(withCell({status: 'fail'})), /^features\[0\]\.providers\.azure\.error: /);
  assert.match(problemOf(withCell({status: 'fail', error: ' '})), /^features\[0\]\.providers\.azure\.error: /);
  assert.match(problemOf(withCell({status: 'not_applicable'})), /^features\[0\]\.providers\.azure\.reason: /);
  assert.match(problemOf(withCell({status: 'weird'})), /azure\.status: expected one of .*found "weird"/);
  assert.match(problemOf(withCell(undefined)), /^features\[0\]\.providers\.azure: expected an object/);
  assert.match(problemOf({...matrix, generated_at: 'yesterday'}), /^generated_at: /);
  assert.match(problemOf({...matrix, providers: ['azure', 'azure']}), /^providers: `azure` stands there twice/);
  assert.match(problemOf({...matrix, features: {}}), /^features: expected a list/);
  assert.match(problemOf([]), /^the file: expected an object/);
});

test('details of the same run are read', () => {
  const result = readDetails(details, read(matrix));
  assert.equal(result.kind, 'read');
});

test('details of another run are left out', () => {
  for (const other of [
    {generated_at: '2026-11-20T08:00:00Z'},
    {litellm_version: 'v1.82.0-stable'},
    {claude_code_version: '2.1.1'},
    {schema_version: '2'},
  ]) {
    assert.equal(readDetails({...details, ...other}, read(matrix)).kind, 'left_out');
  }
});

test('the past of a cell is the oldest first, whatever the order of the file', () => {
  const reversed = {...history, snapshots: [...history.snapshots].reverse()};
  const result = readHistory(reversed);
  assert.ok(result.kind === 'read');
  const past = pastOf(result.snapshots, 'vision', 'bedrock_converse');
  assert.equal(past.length, 14);
  assert.deepEqual([past[0]?.status, past.at(-1)?.status], ['not_tested', 'fail']);
  assert.deepEqual(pastOf(result.snapshots, 'vision', 'azure'), []);
});
