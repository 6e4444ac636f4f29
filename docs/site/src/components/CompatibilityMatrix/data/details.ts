import {inWords} from '../names';
import {STATUSES, type Matrix, type Status} from './matrix';
import {
  readChoice,
  readList,
  readMap,
  readNumber,
  readObject,
  readOptional,
  readOptionalText,
  readText,
  readTime,
  ShapeError,
  visible,
} from './shape';

/** The one version of `compatibility-details.json` that this component reads. */
export const DETAILS_SCHEMA_VERSION = '1';

const EVIDENCE_KINDS = ['simulated', 'live'] as const;

/** What stood behind the gateway in the run. */
export type EvidenceKind = (typeof EVIDENCE_KINDS)[number];

export const LEVELS = ['feature', 'contract'] as const;

/** Who notices a broken expectation: the user of Claude Code, or only the contract between Claude Code and gateways. */
export type Level = (typeof LEVELS)[number];

const FINDING_STATUSES = ['new', 'outside_range', 'known'] as const;

/** Whether the gateway is known to break something; `outside_range`: known, but not measured with this version. */
export type FindingStatus = (typeof FINDING_STATUSES)[number];

/** Something that the gateway breaks in a column, in one cell or in several. */
export type Finding = {
  provider: string;
  /** What it is about; a tier names its findings by these. */
  subjects: string[];
  level: Level;
  status: FindingStatus;
  /** What broke, in one line. */
  summary: string;
  /** What the user of Claude Code loses, in one sentence. */
  loses: string;
  /** Feature ids. */
  features: string[];
  /** Those of them that still work, if it breaks others. */
  worksIn: string[];
  /** The names of the tiers of each row in which it does not show on all of `tiers`. */
  tiersOf: ReadonlyMap<string, string[]>;
  tiers: string[];
  /** The tiers' names for readers. */
  tierNames: string[];
  known?: Known;
};

/** How the gateway's list of known findings declares one. */
export type Known = {
  name: string;
  reason: string;
  link: string;
  /** The gateway's versions that show it, in words. */
  versions?: string;
  /** What a user can do until it is mended, if something is known. */
  workaround?: string;
};

const TRIAL_VERDICTS = ['broken', 'unfaithful', 'clean'] as const;

/** Whether the feature works on a tier (`broken` if not) and the gateway keeps the contract (`unfaithful` if not). */
export type TrialVerdict = (typeof TRIAL_VERDICTS)[number];

const VERDICTS = ['held', 'broken', 'not_judged'] as const;

/** The verdict on an expectation. */
export type Verdict = (typeof VERDICTS)[number];

export type Judged = {name: string; verdict: Verdict; level: Level; clause?: string};

/** An expectation that did not hold. */
export type Mismatch = {
  expectation: string;
  clause?: string;
  summary: string;
  expected?: string;
  actual?: string;
};

/** An attempt before the one that gave the verdict. */
export type EarlierAttempt = {durationMs: number; cause?: string; error?: string};

/** What became of a cell on one tier of models. */
export type TierDetails = {
  tier: string;
  /** For readers: `Haiku 4.5`. */
  name: string;
  /** The set of tiers that it belongs to; absent if there is only one. */
  set?: string;
  /** The name that runs it alone: `vision::azure::haiku`. */
  trial: string;
  /** The flags of its run that say what was tested: `--gateway portkey`; empty for the pinned LiteLLM and Claude Code. */
  flags: string;
  /** The gateway's alias that Claude Code asked for. */
  model?: string;
  /** The provider's name of the model behind it, if it is known. */
  providerModel?: string;
  status: Status;
  /** Absent where nothing was judged, and in files without findings. */
  verdict?: TrialVerdict;
  /** Of a failure: what did not hold, in a few lines. */
  error?: string;
  /** Of a tier that does not apply or was not tested: why, if it is known. */
  reason?: string;
  /** Whose fault a failure is, the facts that decided so, and what to do next. */
  cause?: string;
  why?: string;
  next?: string;
  /** What the gateway changed on the wire, what explains the failure first. */
  wire: string[];
  /** The clause of the contract that a failure breaks. */
  clause?: string;
  mismatches: Mismatch[];
  expectations: Judged[];
  /** Subjects of the file's findings. */
  findings: string[];
  attempts?: number;
  /** Failed first, then passed. */
  flaky: boolean;
  earlierAttempts: EarlierAttempt[];
  durationMs?: number;
  costUsd?: number;
  /** The folder of the trial's evidence among the run's artifacts. */
  evidencePath?: string;
};

/** What readers learn about a row besides its name. */
export type Row = {
  /** The group of rows that it belongs to. */
  category?: string;
  /** What works if the row is green, in one sentence. */
  description?: string;
  /** The clause of the gateway contract that it rests on. */
  clause?: string;
  /** The address of its documentation. */
  docs?: string;
};

/** A tier of models. */
export type TierName = {
  id: string;
  /** For readers: `Haiku 4.5`. */
  name: string;
  /** The set of tiers that it belongs to; absent if there is only one. */
  set?: string;
};

/** `compatibility-details.json`, read and checked. */
export type Details = {
  evidence: EvidenceKind;
  /** The name of the gateway. */
  gateway: string;
  /** `attached` if it ran already: then its settings are its own. */
  gatewayKind?: string;
  /** The version of its package. */
  gatewayVersion?: string;
  /** The configuration of the gateway, unless it is the usual one. */
  configuration?: string;
  /** The API in which Claude Code called the gateway, unless it is the Messages API. */
  clientFormat?: string;
  /** The switches and numbers of the gateway's settings, by name; empty where they are not known. */
  settings: Map<string, string>;
  /** What the gateway breaks, once each; features first. */
  findings: Finding[];
  /** The tiers of the run, in the order of the file. */
  tiers: TierName[];
  /** By feature id. */
  rows: Map<string, Row>;
  /** Feature id, then provider id. */
  cells: Map<string, Map<string, TierDetails[]>>;
};

export type ReadDetails = {kind: 'read'; details: Details} | {kind: 'none'} | {kind: 'left_out'; why: string};

/** Reads the details of `matrix`; details of another run are left out. */
export function readDetails(file: unknown, matrix: Matrix): ReadDetails {
  if (file === undefined || file === null) {
    return {kind: 'none'};
  }
  try {
    return {kind: 'read', details: readVersion1(file, matrix)};
  } catch (error) {
    if (error instanceof ShapeError) {
      return {kind: 'left_out', why: error.message};
    }
    throw error;
  }
}

/** The tiers of a cell; none where nothing is known. */
export function tiersOf(details: Details | undefined, feature: string, provider: string): TierDetails[] {
  return details?.cells.get(feature)?.get(provider) ?? [];
}

/** The models of a tier in a provider's column, usually one: the provider's name, or else the gateway's alias. */
export function modelsOf(details: Details, tier: string, provider: string): string[] {
  const cells = [...details.cells.values()].flatMap((columns) => columns.get(provider) ?? []);
  const models = cells.map((cell) => cell.tier === tier && (cell.providerModel ?? cell.model));
  return [...new Set(models)].filter((model) => typeof model === 'string');
}

/** What readers learn about a row; nothing if the file does not say. */
export function rowOf(details: Details | undefined, feature: string): Row {
  return details?.rows.get(feature) ?? {};
}

/** The findings of a cell on one of its tiers, in the order of the file. */
export function findingsOf(details: Details | undefined, feature: string, provider: string): Finding[] {
  const tiers = tiersOf(details, feature, provider);
  const shows = (finding: Finding) => tiers.some((tier) => showsOn(finding, feature, tier));
  return details?.findings.filter((finding) => finding.provider === provider && shows(finding)) ?? [];
}

/** The findings about one change, one for each provider on which it shows. */
export type Change = readonly [Finding, ...Finding[]];

/** What identifies the change that a finding is about: its declaration, or else its subjects. */
export function changeOf({level, status, known, subjects}: Finding): string {
  return JSON.stringify([level, status, known ? known.name : subjects]);
}

/** The findings by what changed. */
export function byChange(findings: Finding[]): Change[] {
  const changes: [Finding, ...Finding[]][] = [];
  for (const finding of findings) {
    const change = changes.find(([first]) => isSameChange(first, finding));
    if (change) {
      change.push(finding);
    } else {
      changes.push([finding]);
    }
  }
  return changes;
}

/** Whether both are about the same change. Two declarations of the same words may differ in providers and versions. */
function isSameChange(one: Finding, other: Finding): boolean {
  const words = ({level, status, loses, known}: Finding) => JSON.stringify([level, status, loses, known?.reason, known?.link]);
  const shares = one.subjects.some((subject) => other.subjects.includes(subject));
  return changeOf(one) === changeOf(other) || (one.known !== undefined && shares && words(one) === words(other));
}

/** Whether a finding of the tier's column shows on this tier of a feature. */
export function showsOn(finding: Finding, feature: string, {tier, findings}: TierDetails): boolean {
  return (
    finding.features.includes(feature) &&
    finding.tiers.includes(tier) &&
    finding.subjects.some((subject) => findings.includes(subject))
  );
}

function readVersion1(file: unknown, matrix: Matrix): Details {
  const details = readObject(file, 'the file');
  if (details.schema_version !== DETAILS_SCHEMA_VERSION) {
    throw new ShapeError('schema_version', `expected "${DETAILS_SCHEMA_VERSION}"`);
  }
  const ofOtherRun =
    readTime(details.generated_at, 'generated_at').getTime() !== matrix.generatedAt.getTime() ||
    details.litellm_version !== matrix.litellmVersion ||
    details.claude_code_version !== matrix.claudeCodeVersion;
  if (ofOtherRun) {
    throw new ShapeError('generated_at', 'the details are of another run than the matrix');
  }
  const evidence = readChoice(details.evidence, EVIDENCE_KINDS, 'evidence');
  const findings = readList(details.findings ?? [], 'findings', readFinding);
  const named = readList(details.tiers ?? [], 'tiers', readTierName);
  const nameOf = (id: string): string => named.find((tier) => tier.id === id)?.name ?? inWords(id);
  const setOf = (id: string): string | undefined => named.find((tier) => tier.id === id)?.set;
  const gateway = readOptional(details.gateway, 'gateway', readObject);
  const models = readMap(gateway?.models ?? {}, 'gateway.models', readText);
  const cells = readMap(details.features, 'features', (feature, where) =>
    readMap(feature, where, (tiers, place) =>
      readList(tiers, place, readTier).map((tier) => ({
        ...tier,
        name: nameOf(tier.tier),
        set: setOf(tier.tier),
        providerModel: tier.model && models.get(tier.model),
      })),
    ),
  );
  checkSubjects(findings, cells);
  const features = matrix.features.map(({id}) => id);
  const tiers = inOrder(tierIds(cells), named.map(({id}) => id));
  const sorted = findings.map((finding) => ({
    ...finding,
    features: inOrder(finding.features, features),
    tiers: inOrder(finding.tiers, tiers),
    tierNames: inOrder(finding.tiers, tiers).map(nameOf),
    tiersOf: new Map([...finding.tiersOf].map(([row, own]) => [row, inOrder(own, tiers).map(nameOf)])),
  }));
  const rows = new Map(readList(details.rows ?? [], 'rows', readRow));
  const configuration = readOptionalText(gateway?.configuration, 'gateway.configuration');
  const name = readOptionalText(gateway?.name, 'gateway.name') ?? 'litellm';
  return {
    evidence,
    gateway: name,
    gatewayKind: readOptionalText(gateway?.kind, 'gateway.kind'),
    gatewayVersion: readOptionalText(gateway?.version, 'gateway.version'),
    configuration,
    clientFormat: readOptionalText(details.client_format, 'client_format'),
    settings: readMap(gateway?.settings ?? {}, 'gateway.settings', readSetting),
    findings: sorted,
    tiers: tiers.map((id) => ({id, name: nameOf(id), set: setOf(id)})),
    rows,
    cells,
  };
}

/** The tiers that cells have, in their order. */
function tierIds(cells: Details['cells']): string[] {
  const names: string[] = [];
  cells.forEach((columns) =>
    columns.forEach((tiers) => names.push(...tiers.map(({tier}) => tier).filter((name) => !names.includes(name)))),
  );
  return names;
}

/** `names` in the order of `order`; names that it does not have come last. */
function inOrder(names: string[], order: string[]): string[] {
  return [...order.filter((name) => names.includes(name)), ...names.filter((name) => !order.includes(name))];
}

/** Each subject that a tier names is one of a finding of its column. */
function checkSubjects(findings: Finding[], cells: Details['cells']): void {
  cells.forEach((columns, feature) =>
    columns.forEach((tiers, provider) => {
      const subjects = findings.filter((finding) => finding.provider === provider).flatMap(({subjects}) => subjects);
      tiers.forEach((tier, index) => {
        const unlisted = tier.findings.find((subject) => !subjects.includes(subject));
        if (unlisted !== undefined) {
          const where = `features.${feature}.${provider}[${index}].findings`;
          throw new ShapeError(where, `no finding of ${provider} has the subject "${unlisted}"`);
        }
      });
    }),
  );
}

function readFinding(item: unknown, where: string): Finding {
  const finding = readObject(item, where);
  return {
    provider: readText(finding.provider, `${where}.provider`),
    subjects: readList(finding.subjects, `${where}.subjects`, readText),
    level: readChoice(finding.level, LEVELS, `${where}.level`),
    status: readChoice(finding.status, FINDING_STATUSES, `${where}.status`),
    summary: readText(finding.summary, `${where}.summary`),
    loses: readText(finding.loses, `${where}.loses`),
    features: readList(finding.features, `${where}.features`, readText),
    worksIn: readOptional(finding.works_in, `${where}.works_in`, (rows, at) => readList(rows, at, readText)) ?? [],
    tiers: readList(finding.tiers, `${where}.tiers`, readText),
    tierNames: [],
    tiersOf: readMap(finding.tiers_of ?? {}, `${where}.tiers_of`, (own, at) => readList(own, at, readText)),
    known: readOptional(finding.known, `${where}.known`, readKnown),
  };
}

function readRow(item: unknown, where: string): [string, Row] {
  const row = readObject(item, where);
  return [
    readText(row.id, `${where}.id`),
    {
      category: readOptionalText(row.category, `${where}.category`),
      description: readOptionalText(row.description, `${where}.description`),
      clause: readOptionalText(row.clause, `${where}.clause`),
      docs: readOptionalText(row.docs, `${where}.docs`),
    },
  ];
}

function readKnown(item: unknown, where: string): Known {
  const known = readObject(item, where);
  return {
    name: readText(known.name, `${where}.name`),
    reason: readText(known.reason, `${where}.reason`),
    link: readText(known.link, `${where}.link`),
    versions: readOptionalText(known.versions, `${where}.versions`),
    workaround: readOptionalText(known.workaround, `${where}.workaround`),
  };
}

function readTierName(item: unknown, where: string): TierName {
  const tier = readObject(item, where);
  return {
    id: readText(tier.id, `${where}.id`),
    name: readText(tier.name, `${where}.name`),
    set: readOptionalText(tier.set, `${where}.set`),
  };
}

function readTier(item: unknown, where: string): TierDetails {
  const tier = readObject(item, where);
  const id = readText(tier.tier, `${where}.tier`);
  return {
    tier: id,
    name: inWords(id),
    trial: readText(tier.nodeid, `${where}.nodeid`),
    flags: readOptionalText(tier.flags, `${where}.flags`) ?? '',
    model: readOptionalText(tier.model, `${where}.model`),
    status: readChoice(tier.status, STATUSES, `${where}.status`),
    verdict: readOptional(tier.verdict, `${where}.verdict`, readTrialVerdict),
    error: readOptionalText(tier.error, `${where}.error`),
    reason: readOptionalText(tier.reason, `${where}.reason`),
    cause: readOptionalText(tier.cause, `${where}.cause`),
    why: readOptionalText(tier.why, `${where}.why`),
    next: readOptionalText(tier.next, `${where}.next`),
    wire: readList(tier.wire ?? [], `${where}.wire`, readText),
    clause: readOptionalText(tier.clause, `${where}.clause`),
    mismatches: readList(tier.mismatches ?? [], `${where}.mismatches`, readMismatch),
    expectations: readList(tier.expectations ?? [], `${where}.expectations`, readJudged),
    findings: readList(tier.findings ?? [], `${where}.findings`, readText),
    attempts: readOptional(tier.attempts, `${where}.attempts`, readNumber),
    flaky: tier.flaky === true,
    earlierAttempts: readList(tier.earlier_attempts ?? [], `${where}.earlier_attempts`, readEarlierAttempt),
    durationMs: readOptional(tier.duration_ms, `${where}.duration_ms`, readNumber),
    costUsd: readOptional(tier.cost_usd, `${where}.cost_usd`, readNumber),
    evidencePath: readOptionalText(tier.evidence_path, `${where}.evidence_path`),
  };
}

function readSetting(value: unknown, where: string): string {
  return typeof value === 'boolean' ? String(value) : String(readNumber(value, where));
}

function readTrialVerdict(value: unknown, where: string): TrialVerdict {
  return readChoice(value, TRIAL_VERDICTS, where);
}

function readJudged(item: unknown, where: string): Judged {
  const judged = readObject(item, where);
  return {
    name: readText(judged.name, `${where}.name`),
    verdict: readChoice(judged.verdict, VERDICTS, `${where}.verdict`),
    level: readChoice(judged.level ?? 'feature', LEVELS, `${where}.level`),
    clause: readOptionalText(judged.clause, `${where}.clause`),
  };
}

function readMismatch(item: unknown, where: string): Mismatch {
  const mismatch = readObject(item, where);
  return {
    expectation: readText(mismatch.expectation, `${where}.expectation`),
    clause: readOptionalText(mismatch.clause, `${where}.clause`),
    summary: readText(mismatch.summary, `${where}.summary`),
    expected: textOrNone(mismatch.expected),
    actual: textOrNone(mismatch.actual),
  };
}

function readEarlierAttempt(item: unknown, where: string): EarlierAttempt {
  const attempt = readObject(item, where);
  return {
    durationMs: readNumber(attempt.duration_ms, `${where}.duration_ms`),
    cause: readOptionalText(attempt.cause, `${where}.cause`),
    error: readOptionalText(attempt.error, `${where}.error`),
  };
}

/** Of a value that may be empty: its text, if there is any. */
function textOrNone(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? visible(value) : undefined;
}
