import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {test} from 'node:test';

import {byChange, findingsOf, readDetails, type Details} from '../../src/components/CompatibilityMatrix/data/details';
import {pastOf, readHistory} from '../../src/components/CompatibilityMatrix/data/history';
import {readMatrix, type Matrix} from '../../src/components/CompatibilityMatrix/data/matrix';
import {cellOfAnchor} from '../../src/components/CompatibilityMatrix/names';
import {markOf} from '../../src/components/CompatibilityMatrix/status';
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

test('tiers have their names and sets', () => {
  const tiers = [
    {id: 'haiku', name: 'Haiku 4.5', set: 'v0'},
    {id: 'sonnet', name: 'Sonnet 5.5', set: 'current'},
  ];
  const {cells, findings} = detailsOf({...details, tiers});
  const named = cells.get('tool_use')?.get('azure')?.map(({name, set}) => [name, set]);
  assert.deepEqual(named, [
    ['Haiku 4.5', 'v0'],
    ['Sonnet 5.5', 'current'],
    ['Opus', undefined],
  ]);
  assert.deepEqual(findings[0]?.tierNames, ['Sonnet 5.5', 'Opus']);
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

function detailsOf(file: unknown): Details {
  const result = readDetails(file, read(matrix));
  assert.equal(result.kind, 'read');
  return (result as {details: Details}).details;
}

function whyLeftOut(file: unknown): string {
  const result = readDetails(file, read(matrix));
  assert.equal(result.kind, 'left_out');
  return (result as {why: string}).why;
}

/** The sample's details with one cell, whose one tier has `more` too. */
function withTier(more: object) {
  const tier = {tier: 'haiku', nodeid: 'vision::azure::haiku', status: 'pass', ...more};
  return {...details, features: {vision: {azure: [tier]}}};
}

test('findings, verdicts and levels are read', () => {
  const read = detailsOf(details);
  const known = {...details.findings[1]?.known, workaround: undefined};
  const names = {worksIn: [], tiersOf: new Map(), tierNames: ['Haiku', 'Sonnet', 'Opus']};
  assert.deepEqual(read.findings[1], {...details.findings[1], known, ...names});
  const mixed = {...details.findings[1]!, works_in: ['tool_use']};
  assert.deepEqual(detailsOf({...details, findings: [mixed], features: {}}).findings[0]?.worksIn, ['tool_use']);
  assert.equal(read.findings[0]?.known, undefined);
  const tier = read.cells.get('tool_use')?.get('azure')?.[2];
  assert.equal(tier?.verdict, 'unfaithful');
  assert.deepEqual(tier?.findings, [...details.findings[1]!.subjects, ...details.findings[2]!.subjects]);
  assert.deepEqual(
    tier?.expectations.map(({level}) => level),
    ['feature', 'contract'],
  );
});

test('rows and tiers of a finding are in the order of the matrix', () => {
  const mixed = {features: ['vision', 'new_row', 'tool_use'], tiers: ['opus', 'haiku', 'new_tier', 'sonnet']};
  const findings = details.findings.map((finding) => ({...finding, ...mixed}));
  const [finding] = detailsOf({...details, findings}).findings;
  assert.deepEqual(finding?.features, ['tool_use', 'vision', 'new_row']);
  assert.deepEqual(finding?.tiers, ['haiku', 'sonnet', 'opus', 'new_tier']);
});

test('a change on several providers is listed once', () => {
  const [image, known] = detailsOf(details).findings;
  const elsewhere = (finding: typeof image) => ({...finding!, provider: 'vertex_ai'});
  const changes = byChange([image!, known!, elsewhere(image), elsewhere(known)]);
  assert.deepEqual(
    changes.map((change) => change.map(({provider}) => provider)),
    [
      ['bedrock_converse', 'vertex_ai'],
      ['azure', 'vertex_ai'],
    ],
  );
});

test('two declarations of the same words are one change', () => {
  const [, known] = detailsOf(details).findings;
  const declared = (name: string, reason?: string) => ({
    ...known!,
    known: {...known!.known!, name, reason: reason ?? known!.known!.reason},
  });
  assert.equal(byChange([declared('one'), declared('two')]).length, 1);
  assert.equal(byChange([declared('one'), declared('two', 'Another reason.')]).length, 2);
});

test('details without findings are read', () => {
  const read = detailsOf({...withTier({}), findings: undefined});
  assert.deepEqual(read.findings, []);
  assert.deepEqual(findingsOf(read, 'vision', 'azure'), []);
  assert.equal(read.cells.get('vision')?.get('azure')?.[0]?.verdict, undefined);
});

test('a fault in the findings says where it is', () => {
  const withFinding = (more: object) => ({...details, findings: [{...details.findings[0], ...more}]});
  assert.match(whyLeftOut({...details, findings: {}}), /^findings: expected a list/);
  assert.match(whyLeftOut(withFinding({level: 'minor'})), /^findings\[0\]\.level: expected one of feature, contract/);
  assert.match(whyLeftOut(withFinding({status: 'old'})), /^findings\[0\]\.status: expected one of new, outside_range/);
  assert.match(whyLeftOut(withFinding({loses: ''})), /^findings\[0\]\.loses: /);
  assert.match(whyLeftOut(withFinding({known: {name: 'one', link: 'docs'}})), /^findings\[0\]\.known\.reason: /);
  assert.match(whyLeftOut(withTier({verdict: 'green'})), /azure\[0\]\.verdict: expected one of broken, unfaithful, clean/);
  assert.match(
    whyLeftOut(withTier({expectations: [{name: 'reply', verdict: 'known_failure'}]})),
    /azure\[0\]\.expectations\[0\]\.verdict: expected one of held, broken, not_judged/,
  );
});

test('a tier may name only findings of its own column', () => {
  const [subject] = details.findings[0]!.subjects;
  assert.equal(
    whyLeftOut(withTier({findings: [subject]})),
    `features.vision.azure[0].findings: no finding of azure has the subject "${subject}"`,
  );
});

test('a cell has the findings that show on its tiers', () => {
  const {findings} = detailsOf(details);
  const of = (feature: string, provider: string) => findingsOf(detailsOf(details), feature, provider);
  assert.deepEqual(of('tool_use', 'azure'), findings.slice(1));
  assert.deepEqual(of('basic_messaging_streaming', 'azure'), findings.slice(1, 2));
  assert.deepEqual(of('vision', 'bedrock_converse'), findings.slice(0, 1));
  assert.deepEqual(of('tool_use', 'anthropic'), []);
});

test('a cell is unfaithful if it passes, a tier is unfaithful and none is broken', () => {
  const [haiku] = detailsOf(withTier({})).cells.get('vision')!.get('azure')!;
  const tiers = (...verdicts: ('clean' | 'unfaithful' | 'broken')[]) =>
    verdicts.map((verdict) => ({...haiku!, verdict}));
  assert.equal(markOf('pass', tiers('clean', 'clean')), 'pass');
  assert.equal(markOf('pass', tiers('clean', 'unfaithful')), 'unfaithful');
  assert.equal(markOf('pass', tiers('unfaithful', 'broken')), 'pass');
  assert.equal(markOf('fail', tiers('unfaithful', 'broken')), 'fail');
  assert.equal(markOf('pass', []), 'pass');
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

test('control characters and marks of direction are shown as their codes', () => {
  const name = 'Vision\u202e and \u0007more';
  const read = readMatrix({...matrix, features: [{...matrix.features[4]!, name}]});
  assert.equal(read.kind === 'read' && read.matrix.features[0]?.name, 'Vision\\u202e and \\u0007more');
  assert.equal(cellOfAnchor('a::%E2%80%AEx'), 'a::\\u202ex');
  const hidden = 'a\u202e';
  const cells = {[hidden]: {status: 'pass'}};
  const columns = readMatrix({...matrix, providers: [hidden], features: [{...matrix.features[4]!, providers: cells}]});
  assert.deepEqual(columns.kind === 'read' && [...columns.matrix.features[0]!.providers.keys()], ['a\\u202e']);
  const other = readMatrix({...matrix, schema_version: hidden});
  assert.equal(other.kind === 'other_version' && other.version, '"a\\u202e"');
  const snapshot = {...history.snapshots[0]!, cells: {[hidden]: {[hidden]: hidden}}};
  const past = readHistory({...history, snapshots: [snapshot]});
  assert.ok(past.kind === 'left_out' && /cells\.a\\u202e\.a\\u202e.*found "a\\u202e"/.test(past.why), JSON.stringify(past));
});
