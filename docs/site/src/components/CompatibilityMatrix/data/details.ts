import {STATUSES, type Matrix, type Status} from './matrix';
import {
  readChoice,
  readList,
  readMap,
  readNumber,
  readObject,
  readOptionalText,
  readText,
  readTime,
  ShapeError,
} from './shape';

/** The one version of `compatibility-details.json` that this component reads. */
export const DETAILS_SCHEMA_VERSION = '1';

const EVIDENCE_KINDS = ['simulated', 'live'] as const;

/** The kind of provider in the run. */
export type EvidenceKind = (typeof EVIDENCE_KINDS)[number];

export type KnownFailure = {reason: string; link?: string};

const VERDICTS = ['held', 'broken', 'known_failure', 'unexpectedly_held', 'not_judged'] as const;

/** The result of an expectation. */
export type Verdict = (typeof VERDICTS)[number];

export type Judged = {name: string; verdict: Verdict; clause?: string};

/** An expectation that did not hold. */
export type Mismatch = {
  expectation: string;
  clause?: string;
  summary: string;
  expected?: string;
  actual?: string;
};

/** An attempt before the last one. */
export type EarlierAttempt = {durationMs: number; cause?: string; error?: string};

/** The result of a cell on one tier of models. */
export type TierDetails = {
  tier: string;
  /** The name that runs it alone: `vision::azure::haiku`. */
  trial: string;
  model?: string;
  status: Status;
  /** The failed expectations, in a few lines. */
  error?: string;
  /** The cause of a failure, the facts that decided it, and what to do next. */
  cause?: string;
  why?: string;
  next?: string;
  /** The gateway's changes, the likely reason first. */
  wire: string[];
  /** The clause of the contract that a failure breaks. */
  clause?: string;
  mismatches: Mismatch[];
  expectations: Judged[];
  knownFailures: KnownFailure[];
  attempts?: number;
  /** Failed first, then passed. */
  flaky: boolean;
  earlierAttempts: EarlierAttempt[];
  durationMs?: number;
  costUsd?: number;
  /** The folder of the trial's evidence among the run's artifacts. */
  evidencePath?: string;
};

/** `compatibility-details.json`, read and checked. */
export type Details = {
  evidence: EvidenceKind;
  /** Feature id, then provider id. */
  cells: Map<string, Map<string, TierDetails[]>>;
};

export type ReadDetails = {kind: 'read'; details: Details} | {kind: 'none'} | {kind: 'left_out'; why: string};

/** Reads the details of `matrix`; ignores the details of another run. */
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

/** The tiers of a cell; empty without details. */
export function tiersOf(details: Details | undefined, feature: string, provider: string): TierDetails[] {
  return details?.cells.get(feature)?.get(provider) ?? [];
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
  return {
    evidence: readChoice(details.evidence, EVIDENCE_KINDS, 'evidence'),
    cells: readMap(details.features, 'features', (feature, where) =>
      readMap(feature, where, (tiers, place) => readList(tiers, place, readTier)),
    ),
  };
}

function readTier(item: unknown, where: string): TierDetails {
  const tier = readObject(item, where);
  return {
    tier: readText(tier.tier, `${where}.tier`),
    trial: readText(tier.nodeid, `${where}.nodeid`),
    model: readOptionalText(tier.model, `${where}.model`),
    status: readChoice(tier.status, STATUSES, `${where}.status`),
    error: readOptionalText(tier.error, `${where}.error`),
    cause: readOptionalText(tier.cause, `${where}.cause`),
    why: readOptionalText(tier.why, `${where}.why`),
    next: readOptionalText(tier.next, `${where}.next`),
    wire: readList(tier.wire ?? [], `${where}.wire`, readText),
    clause: readOptionalText(tier.clause, `${where}.clause`),
    mismatches: readList(tier.mismatches ?? [], `${where}.mismatches`, readMismatch),
    expectations: readList(tier.expectations ?? [], `${where}.expectations`, readJudged),
    knownFailures: readList(tier.known_failures ?? [], `${where}.known_failures`, readKnownFailure),
    attempts: readOptionalNumber(tier.attempts, `${where}.attempts`),
    flaky: tier.flaky === true,
    earlierAttempts: readList(tier.earlier_attempts ?? [], `${where}.earlier_attempts`, readEarlierAttempt),
    durationMs: readOptionalNumber(tier.duration_ms, `${where}.duration_ms`),
    costUsd: readOptionalNumber(tier.cost_usd, `${where}.cost_usd`),
    evidencePath: readOptionalText(tier.evidence_path, `${where}.evidence_path`),
  };
}

function readOptionalNumber(value: unknown, where: string): number | undefined {
  return value === undefined || value === null ? undefined : readNumber(value, where);
}

function readKnownFailure(item: unknown, where: string): KnownFailure {
  const known = readObject(item, where);
  return {
    reason: readText(known.reason, `${where}.reason`),
    link: readOptionalText(known.link, `${where}.link`),
  };
}

function readJudged(item: unknown, where: string): Judged {
  const judged = readObject(item, where);
  return {
    name: readText(judged.name, `${where}.name`),
    verdict: readChoice(judged.verdict, VERDICTS, `${where}.verdict`),
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

/** The text of a value, if it is not empty. */
function textOrNone(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? value : undefined;
}
