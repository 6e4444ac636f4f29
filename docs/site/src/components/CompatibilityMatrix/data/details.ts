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

/** What stood behind the gateway in the run. */
export type EvidenceKind = (typeof EVIDENCE_KINDS)[number];

export type KnownFailure = {reason: string; link?: string};

/** What became of a cell on one tier of models. */
export type TierDetails = {
  tier: string;
  model?: string;
  status: Status;
  /** The error or the reason, in full. */
  text?: string;
  /** Whose fault a failure is. */
  cause?: string;
  /** The clause of the contract that a failure breaks. */
  clause?: string;
  attempts?: number;
  durationMs?: number;
  costUsd?: number;
  knownFailures: KnownFailure[];
};

/** `compatibility-details.json`, read and checked. */
export type Details = {
  evidence: EvidenceKind;
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
    model: readOptionalText(tier.model, `${where}.model`),
    status: readChoice(tier.status, STATUSES, `${where}.status`),
    text: readOptionalText(tier.error ?? tier.reason, `${where}.error`),
    cause: readOptionalText(tier.cause, `${where}.cause`),
    clause: readOptionalText(tier.clause, `${where}.clause`),
    attempts: readOptionalNumber(tier.attempts, `${where}.attempts`),
    durationMs: readOptionalNumber(tier.duration_ms, `${where}.duration_ms`),
    costUsd: readOptionalNumber(tier.cost_usd, `${where}.cost_usd`),
    knownFailures: readList(tier.known_failures ?? [], `${where}.known_failures`, readKnownFailure),
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
