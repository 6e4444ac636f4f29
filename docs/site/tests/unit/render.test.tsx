import assert from 'node:assert/strict';
import {test} from 'node:test';

import {renderToStaticMarkup} from 'react-dom/server';

import {readDetails} from '../../src/components/CompatibilityMatrix/data/details';
import {readMatrix} from '../../src/components/CompatibilityMatrix/data/matrix';
import {isSameVersion} from '../../src/components/CompatibilityMatrix/data/versions';
import {startOf} from '../../src/components/CompatibilityMatrix/FoldedMessage';
import {MatrixFromFiles} from '../../src/components/CompatibilityMatrix/MatrixFromFiles';
import {TestedModels} from '../../src/components/CompatibilityMatrix/TestedModels';
import {details, grouped, large, malformed, matrix, otherVersion, sixColumns, versions} from '../fixtures/samples';

function render(file: unknown, detailsFile?: unknown, versionsFile?: unknown): string {
  return renderToStaticMarkup(<MatrixFromFiles matrix={file} details={detailsFile} versions={versionsFile} />);
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
  assert.match(page, /This run did not test the combination on every model\./);
  assert.match(page, /Bedrock Invoke does not offer extended thinking\./);
  assert.match(page, /expected an <code>image\/png<\/code> block of 69 bytes/);
});

test('the server tells the time in UTC and both versions', () => {
  const page = render(matrix);
  assert.match(page, /<time dateTime="2026-11-21T08:00:00.000Z">21 November 2026, 08:00 UTC<\/time>/i);
  assert.match(page, /v1\.83\.0-stable/);
  assert.match(page, /2\.1\.120/);
});

test('the page links to its data, and to nothing that is not there', () => {
  const links = {'Matrix (JSON)': '/data/matrix.json', Tests: 'https://example.org/'};
  const page = renderToStaticMarkup(<MatrixFromFiles matrix={matrix} links={links} />);
  assert.match(page, /<a href="\/data\/matrix\.json">Matrix \(JSON\)<\/a><a href="https:\/\/example\.org\/">Tests<\/a>/);
  assert.doesNotMatch(render(matrix), /Data of this page/);
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

test('findings are listed once, and what is known has no other colour', () => {
  const page = render(matrix, details);
  assert.match(page, /<h2[^>]*>Findings \(3\)<\/h2>/);
  assert.equal(page.match(/<dt>What broke<\/dt>/g)?.length, 3);
  assert.match(page, /<a [^>]*data-status="pass"[^>]*><span [^>]*>✓\*<\/span>/);
  const allNew = details.findings.map(({known, ...finding}) => ({...finding, status: 'new'}));
  const table = (text: string) => /<table.*<\/table>/.exec(text)?.[0];
  assert.equal(table(render(matrix, {...details, findings: allNew})), table(page));
});

test('only a web address becomes a link', () => {
  const withLink = (link: string) => {
    const findings = details.findings.map((finding) => ({...finding, known: {name: 'known', reason: 'Known.', link}}));
    return render(matrix, {...details, findings});
  };
  assert.match(withLink('https://example.invalid/1'), /<a href="https:\/\/example\.invalid\/1">example\.invalid\/1<\/a>/);
  for (const link of ['docs/findings/session.md', 'javascript:alert(1)', '//example.invalid']) {
    const page = withLink(link);
    assert.ok(page.includes(` ${link}</dd>`));
    assert.ok(!page.includes(`href="${link}"`));
  }
});

test('the page of a finding is a link if the address of the tests is known', () => {
  const link = 'docs/findings/session.md';
  const findings = details.findings.map((finding) => ({...finding, known: {name: 'known', reason: 'Known.', link}}));
  const links = {Tests: 'https://example.org/suite'};
  const page = renderToStaticMarkup(
    <MatrixFromFiles matrix={matrix} details={{...details, findings}} links={links} />,
  );
  assert.ok(page.includes(`<a href="https://example.org/suite/${link}">${link}</a>`));
});

test('a workaround stands beside the reason and the link of a finding, if one is known', () => {
  const withKnown = (more: object) => {
    const findings = details.findings.map((finding) => finding.known ? {...finding, known: {...finding.known, ...more}} : finding);
    return render(matrix, {...details, findings});
  };
  const row = /<dt>Workaround<\/dt><dd><span[^>]*>Set <code>drop_params<\/code> to false\.<\/span><\/dd>/g;
  assert.equal(withKnown({workaround: 'Set `drop_params` to false.'}).match(row)?.length, 2);
  for (const none of [{}, {workaround: null}]) {
    const page = withKnown(none);
    assert.doesNotMatch(page, /Workaround|left out/);
    assert.match(page, /The table of betas does not have it\./);
  }
  assert.match(withKnown({workaround: ''}), /left out: <code>findings\[1\]\.known\.workaround: /);
});

test('the page names the models of each tier and provider', () => {
  const page = render(sixColumns.matrix, sixColumns.details);
  const facts = /<summary>Models and settings of this run<\/summary>.*?<\/details>/.exec(page)?.[0] ?? '';
  assert.match(facts, /Earlier models.*<dt>Haiku 4\.5<\/dt>.*<dt>Opus 4\.7<\/dt>.*Current models.*<dt>Opus 5\.5<\/dt>/);
  assert.match(facts, /Bedrock \(Invoke\): <code>claude-haiku-5-5-bedrock-invoke<\/code>/);
  assert.equal(facts.match(/<li>/g)?.length, 36);
  assert.match(facts, /Its settings say which model/);
  const models = {'claude-haiku-5-5-bedrock-invoke': 'us.anthropic.claude-haiku-5-5'};
  const named = render(sixColumns.matrix, {...sixColumns.details, gateway: {kind: 'litellm', models}});
  assert.match(named, /Bedrock \(Invoke\): <code>us\.anthropic\.claude-haiku-5-5<\/code>/);
  assert.match(named, /Azure \(Foundry\): <code>claude-haiku-5-5-azure<\/code>/);
  assert.match(named, /the provider’s own name, or else/);
  // A tier that ran nowhere has no model.
  const untried = {...details, features: {extended_thinking: details.features.extended_thinking}, findings: undefined};
  assert.match(render(matrix, untried), /<dt>Haiku<\/dt><dd>Not known<\/dd>/);
  assert.doesNotMatch(render(matrix), /Models and settings/);
});

test('the page says which settings the gateway had', () => {
  const settings = (gateway?: object) =>
    /<dt>Settings<\/dt><dd>(.*?)<\/dd>/.exec(render(matrix, {...details, gateway}))?.[1]?.replace(/<\/?code>/g, '');
  assert.equal(settings({kind: 'litellm', name: 'litellm'}), 'The usual ones of the tests, in proxy_config.yaml');
  assert.equal(
    settings({kind: 'litellm', name: 'litellm', configuration: 'bearer'}),
    'proxy_config.yaml of the tests, with the configuration bearer of gateways/litellm.yaml',
  );
  assert.equal(settings({kind: 'catalogue', name: 'portkey'}), 'The usual ones of the tests, in gateways/portkey.yaml');
  assert.equal(settings({kind: 'attached'}), 'Its own: it ran before the tests began.');
  const values = {'litellm_settings.drop_params': true, 'litellm_settings.request_timeout': 600};
  const listed = settings({kind: 'litellm', name: 'litellm', settings: values}) ?? '';
  assert.match(listed, /<li>litellm_settings\.drop_params: true<\/li><li>litellm_settings\.request_timeout: 600<\/li>/);
  const wrong = render(matrix, {...details, gateway: {kind: 'litellm', settings: {master_key: 'sk-1'}}});
  assert.match(wrong, /left out: <code>gateway\.settings\.master_key: expected a number/);
  assert.match(render(matrix, details), /<dt>Gateway<\/dt><dd>LiteLLM 1\.83\.0<\/dd>/);
});

test('the page names its gateway above the table', () => {
  const banner = (gateway?: object) =>
    /<dt>([^<]*)<\/dt><dd>v?1\.83\.0[^<]*<\/dd>/.exec(render(matrix, {...details, gateway}))?.[1];
  assert.equal(banner(), 'LiteLLM');
  assert.equal(banner({kind: 'catalogue', name: 'portkey'}), 'Portkey');
});

test('the text about the run names its tiers', () => {
  const sentence = (run: {matrix: unknown; details: unknown}) => {
    const table = readMatrix(run.matrix);
    const read = table.kind === 'read' ? readDetails(run.details, table.matrix) : undefined;
    return renderToStaticMarkup(<TestedModels details={read?.kind === 'read' ? read.details : undefined} />);
  };
  assert.match(sentence({matrix, details}), /: Haiku, Sonnet and Opus\.$/);
  assert.match(sentence(sixColumns), /: Haiku 4\.5, Sonnet 4\.6, Opus 4\.7, Haiku 5\.5, Sonnet 5\.5 and Opus 5\.5\.$/);
  assert.equal(sentence({matrix, details: undefined}), 'Each test runs once on each tier of Claude models.');
});

test('long failures are folded, and equal ones are listed once', () => {
  const page = render(sixColumns.matrix, sixColumns.details);
  const part = page.slice(page.indexOf('What fails, and why'), page.indexOf('What does not apply'));
  assert.equal(part.match(/opus: no tool call was made/g)?.length, 1);
  assert.match(part, /<dt>Feature 34 <span[^>]*>Bedrock \(Invoke\), Bedrock \(Converse\), Vertex AI, Azure \(Foundry\), /);
  const folded = part.match(/<details[^>]*><summary>[^]*?<\/summary>/g) ?? [];
  assert.equal(folded.length, 2);
  assert.ok(folded.every((summary) => summary.length < 700), folded.join('\n'));
  // The table has the start only: a tooltip and a screen reader need no more.
  assert.doesNotMatch(/<table[^]*<\/table>/.exec(page)?.[0] ?? 'x'.repeat(500), /x{500}/);
});

test('failures by the same findings are one reason, each text with its cells', () => {
  const [image] = details.findings;
  const [failed] = details.features.vision.bedrock_converse.slice(1);
  const features = {vision: {bedrock_converse: [failed], azure: [failed], vertex_ai: [failed]}};
  const withError = (error: string) => {
    const failing = {vertex_ai: {status: 'fail', error}, azure: {status: 'fail', error}};
    const isVision = ({id}: {id: string}) => id === 'vision';
    const features = matrix.features.map((row) => (isVision(row) ? {...row, providers: {...row.providers, ...failing}} : row));
    return {...matrix, features};
  };
  const findings = ['bedrock_converse', 'azure', 'vertex_ai'].map((provider) => ({...image, provider}));
  const failures = (error: string) => {
    const page = render(withError(error), {...grouped, findings, features});
    return page.slice(page.indexOf('What fails, and why'), page.indexOf('What does not apply'));
  };
  const part = failures('no image');
  assert.match(part, /<dt>Vision <span[^>]*>Bedrock \(Converse\), Vertex AI, Azure \(Foundry\)<\/span><\/dt>/);
  assert.equal(part.match(/The model does not see the image\./g)?.length, 1);
  assert.match(part, /<strong>Vertex AI, Azure \(Foundry\)<\/strong><span[^>]*>no image</);
  assert.match(part, /<strong>Bedrock \(Converse\)<\/strong>/);
  assert.doesNotMatch(part, /What the tests reported/);
  assert.match(failures('no image '.repeat(60)), /<summary>What the tests reported<\/summary>.*<strong>Vertex AI, Azure/);
});

test('the start of a long text ends with a line or a word, and with no half of a code', () => {
  assert.equal(startOf('short', 10), 'short');
  assert.equal(startOf('one two three', 9), 'one two …');
  assert.equal(startOf('one two\nthree four', 12), 'one two …');
  assert.equal(startOf('one `two three four` five', 14), 'one `two` …');
  assert.equal(startOf('cut… and more words', 6), 'cut …');
  assert.ok(startOf('x'.repeat(5000), 200).length <= 202);
});

test('without findings the details show neither a section nor an unfaithful cell', () => {
  const {features} = details;
  const page = render(matrix, {...details, findings: undefined, features: {extended_thinking: features.extended_thinking}});
  assert.doesNotMatch(page, /left out|Findings|✓\*/);
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

test('a finding shows since which version it is there', () => {
  const since = /<dt>Since<\/dt><dd>LiteLLM 1\.83\.0<\/dd>/;
  const page = (shows: unknown[], file: object = versions) =>
    render(matrix, details, {...file, findings: versions.findings.map((finding) => ({...finding, shows}))});
  assert.match(render(matrix, details, versions), /<dt>Since<\/dt><dd>LiteLLM 1\.83\.0 or earlier<\/dd>/);
  assert.match(page([true, false, false, true]), since);
  assert.doesNotMatch(page([true, true, null, false]), /<dt>Since<\/dt>/);
  assert.doesNotMatch(render(matrix, details), /<dt>Since<\/dt>|Which version/);
  // Another provider has a history of its own.
  const elsewhere = versions.findings.map((finding) => ({...finding, providers: ['bedrock_mantle'], shows: [false, false, false, true]}));
  const both = {...versions, findings: [...elsewhere, ...versions.findings]};
  assert.match(render(matrix, details, both), /<dt>Since<\/dt><dd>LiteLLM 1\.83\.0 or earlier<\/dd>/);
  assert.doesNotMatch(render(matrix, details, {...versions, findings: elsewhere}), /<dt>Since<\/dt>/);
  // The run's version counts, also if newer ones are known.
  const newer = {...versions, versions: [...versions.versions.slice(1), {version: '1.84.0', works: 2, broken: 0}], cells: []};
  assert.match(page([false, false, true, false], newer), since);
});

test('the page says which features, providers and models a history covers', () => {
  const page = render(matrix, details, versions);
  assert.match(page, /with Claude Code 2\.1\.120: 2 of 6 features on 2 of 5 providers, with Haiku and Opus\./);
  const all = matrix.features.flatMap(({id}) => matrix.providers.map((provider) => ({cell: `${id}::${provider}`, signs: ['✓', '✓', '?', '✓']})));
  assert.match(render(matrix, details, {...versions, cells: all, tiers: undefined}), /: all 6 features on all 5 providers\./);
});

test('a history of other tools shows no first version, and the page says so', () => {
  const configured = {...details, gateway: {kind: 'litellm', configuration: 'bearer'}};
  const ofRun = (file: object, detailsFile: object = details) => {
    const page = render(matrix, detailsFile, {...versions, ...file});
    assert.notEqual(page.includes('<dt>Since</dt>'), page.includes('of another configuration than this run'));
    return page.includes('<dt>Since</dt>');
  };
  assert.ok(ofRun({}));
  assert.ok(ofRun({configuration: 'bearer'}, configured));
  assert.ok(!ofRun({configuration: 'bearer'}));
  assert.ok(!ofRun({}, configured));
  assert.match(render(matrix, configured, versions), /<dt>Configuration<\/dt><dd>bearer<\/dd>/);
  const inOtherFormat = {...details, client_format: 'provider'};
  assert.ok(!ofRun({}, inOtherFormat));
  assert.match(render(matrix, inOtherFormat), /<dt>Client format<\/dt><dd>provider<\/dd>/);
  assert.ok(!ofRun({tool: 'portkey'}));
  assert.ok(!ofRun({beside: {name: 'Claude Code', version: '2.1.119'}}));
  assert.ok(!ofRun({beside: undefined}));
  assert.ok(!ofRun({}, {...details, gateway: {kind: 'catalogue', name: 'portkey'}}));
  assert.ok(!ofRun({versions: versions.versions.map(({version, ...rest}) => ({version: `${version}rc1`, ...rest}))}));
  const page = render(matrix, configured, versions);
  assert.ok(page.includes('than this run (LiteLLM 1.80.0 to 1.83.0 with Claude Code 2.1.120), so no finding'), page);
});

test('a history of Claude Code is of a run with the same gateway', () => {
  const claude = versions.versions.map((version, index) => ({...version, version: `2.1.${117 + index}`}));
  const file = {...versions, tool: 'Claude Code', versions: claude, beside: {name: 'litellm', version: '1.83.0'}};
  assert.match(render(matrix, details, file), /<dt>Since<\/dt><dd>Claude Code 2\.1\.120 or earlier<\/dd>/);
  const other = {...file, beside: {name: 'litellm', version: '1.82.0'}};
  assert.doesNotMatch(render(matrix, details, other), /<dt>Since<\/dt>/);
});

test('a tag and the version of its package are the same', () => {
  for (const tag of ['1.106.2', 'v1.106.2', 'v1.106.2-stable', 'v1.106.2-stable.patch.3']) {
    assert.ok(isSameVersion(tag, '1.106.2'), tag);
  }
  for (const other of ['1.106.20', '1.106', '1.106.2rc1', 'v1.106.2-nightly', 'v1.106.2.dev1', undefined]) {
    assert.ok(!isSameVersion('v1.106.2-stable', other), other);
  }
});

test('damaged versions cost the versions alone', () => {
  const page = render(matrix, details, {...versions, cells: [{cell: 'vision::azure', signs: ['✓']}]});
  assert.match(page, /The versions file is left out: <code>cells\[0\]\.signs: expected 4 entries/);
});
