import {inWords, listed} from '../names';
import {LEVELS, type Details, type Finding, type Level} from './details';
import type {Matrix} from './matrix';
import {readChoice, readList, readNumber, readObject, readOptional, readOptionalText, readText, ShapeError} from './shape';

/** The one version of `version-history.json` that this component reads. */
export const VERSIONS_SCHEMA_VERSION = '1';

const SIGNS = ['✓', '✓*', '~', '✗', '!', '—', '?'] as const;

type Sign = (typeof SIGNS)[number];

export type Version = {version: string; claudeCode?: string; unusable?: string};

type FindingOfVersions = {name: string; providers: string[]; level: Level; shows: (boolean | undefined)[]};

type CellOfVersions = {feature: string; provider: string; signs: Sign[]};

/** `version-history.json`, which `compat history --format json` prints: the oldest version first. */
export type VersionHistory = {
  /** A gateway's id, or `Claude Code`. */
  tool: string;
  configuration?: string;
  /** The other tool, if all versions ran with the same version of it. */
  beside?: {name: string; version: string};
  /** The ids of the tiers that ran; none in files without them. */
  tiers: string[];
  versions: Version[];
  findings: FindingOfVersions[];
  cells: CellOfVersions[];
};

export type ReadVersions = {kind: 'read'; history: VersionHistory} | {kind: 'none'} | {kind: 'left_out'; why: string};

/** What works on one version, of the cells that a reader chose. */
export type Score = Version & {works: number; unfaithful: number; broken: number; unknown: number};

export function readVersions(file: unknown): ReadVersions {
  if (file === undefined || file === null) {
    return {kind: 'none'};
  }
  try {
    return {kind: 'read', history: readVersion1(file)};
  } catch (error) {
    if (error instanceof ShapeError) {
      return {kind: 'left_out', why: error.message};
    }
    throw error;
  }
}

/** The name of a gateway, or `Claude Code`, for readers. */
export function toolName(tool: string): string {
  return tool === 'litellm' ? 'LiteLLM' : inWords(tool);
}

/** What the shown run tested: the versions by tool, the gateway's configuration, and another API than the Messages API. */
export type TestedTools = {versions: Record<string, string>; configuration?: string; clientFormat?: string};

export function testedTools(matrix: Matrix, {gateway, configuration, clientFormat}: Details): TestedTools {
  const versions = {[gateway]: matrix.litellmVersion, 'Claude Code': matrix.claudeCodeVersion};
  return {versions, configuration, clientFormat};
}

/** Whether the history's gateway, configuration and Claude Code are those of the run. Only then does it say something about the run. */
export function isOfRun({tool, configuration, beside, versions}: VersionHistory, run: TestedTools): boolean {
  return (
    columnOf(versions, run.versions[tool]) >= 0 &&
    beside !== undefined &&
    isSameVersion(beside.version, run.versions[beside.name]) &&
    configuration === run.configuration &&
    run.clientFormat === undefined
  );
}

/** What the history is of: `LiteLLM 1.101.0 to 1.106.2 with Claude Code 2.1.327`. */
export function historyInShort({tool, configuration, beside, versions}: VersionHistory): string {
  const [first, last] = [versions[0], versions[versions.length - 1]];
  const parts = [
    toolName(tool),
    first && last && (first === last ? first.version : `${first.version} to ${last.version}`),
    beside && `with ${toolName(beside.name)} ${beside.version}`,
    configuration && `(configuration ${configuration})`,
  ];
  return parts.filter(Boolean).join(' ');
}

/** What the history covers: `6 of 34 features on 5 of 6 providers, with Haiku 4.5 and Opus 4.7`. */
export function coverage({cells, tiers}: VersionHistory, matrix: Matrix, details?: Details): string {
  const part = (ids: string[], all: string[], name: string) => {
    const run = all.filter((id) => ids.includes(id)).length;
    return `${run === all.length ? 'all' : `${run} of`} ${all.length} ${name}`;
  };
  const features = part(
    cells.map(({feature}) => feature),
    matrix.features.map(({id}) => id),
    'features',
  );
  const providers = part(
    cells.map(({provider}) => provider),
    matrix.providers,
    'providers',
  );
  const known = details?.tiers.filter(({id}) => tiers.includes(id)) ?? [];
  const others = tiers.filter((id) => !known.some((tier) => tier.id === id)).map(inWords);
  const names = [...known.map(({name}) => name), ...others];
  return `${features} on ${providers}${names.length > 0 ? `, with ${listed(names)}` : ''}`;
}

/** The place of a version or tag among the versions that could be run; -1 if it is not there. */
function columnOf(versions: Version[], wanted?: string): number {
  return versions.findIndex(({version, unusable}) => unusable === undefined && isSameVersion(version, wanted));
}

/** Whether two versions or tags are of the same package: `v1.83.3-stable.patch.2` is the tag of LiteLLM 1.83.3. */
export function isSameVersion(one: string, other?: string): boolean {
  const plain = (text?: string) => text?.trim().replace(/^v(?=\d)/, '').replace(/-stable(\.patch\.\d+)?$/, '');
  return plain(one) === plain(other);
}

/**
 * The first version of those that show a finding on its provider up to the run's, in words; nothing if the run's does not show
 * it, or if the history differs from the run. The version before is known not to show it, unless the words say "or earlier".
 */
export function sinceVersion(history: VersionHistory, run: TestedTools, finding: Finding): string | undefined {
  const {tool, versions, findings} = history;
  const names = finding.known ? [finding.known.name] : finding.subjects;
  const column = columnOf(versions, run.versions[tool]);
  const isOfFinding = ({name, providers}: FindingOfVersions) => names.includes(name) && providers.includes(finding.provider);
  const shows = findings.find(isOfFinding)?.shows.slice(0, column + 1);
  if (!shows?.[column] || !isOfRun(history, run)) {
    return undefined;
  }
  const absent = shows.lastIndexOf(false);
  const first = shows.indexOf(true, absent + 1);
  const isKnown = absent === first - 1 && absent >= 0;
  return `${toolName(tool)} ${versions[first]?.version}${isKnown ? '' : ' or earlier'}`;
}

/** The score of each version that could be run, the best first: most cells work, fewest are unfaithful, newest. */
export function rank({versions, cells}: VersionHistory, isChosen: (feature: string, provider: string) => boolean): Score[] {
  const chosen = cells.filter(({feature, provider, signs}) => isChosen(feature, provider) && signs.some((sign) => sign !== '—'));
  const scores = versions.map((version, index) => {
    const count = (...signs: Sign[]) => chosen.filter((cell) => signs.includes(cell.signs[index] ?? '?')).length;
    return {
      ...version,
      works: count('✓', '✓*', '~'),
      unfaithful: count('✓*'),
      broken: count('✗'),
      unknown: count('!', '?'),
    };
  });
  const usable = scores.filter(({unusable}) => unusable === undefined).reverse();
  return usable.sort((one, other) => other.works - one.works || one.unfaithful - other.unfaithful);
}

function readVersion1(file: unknown): VersionHistory {
  const history = readObject(file, 'the file');
  if (history.schema_version !== VERSIONS_SCHEMA_VERSION) {
    throw new ShapeError('schema_version', `expected "${VERSIONS_SCHEMA_VERSION}"`);
  }
  const versions = readList(history.versions, 'versions', readVersion);
  const whole = <T>(values: T[], where: string): T[] => {
    if (values.length !== versions.length) {
      throw new ShapeError(where, `expected ${versions.length} entries, one for each version`);
    }
    return values;
  };
  return {
    tool: readText(history.tool, 'tool'),
    configuration: readOptionalText(history.configuration, 'configuration'),
    beside: readOptional(history.beside, 'beside', (item, where) => {
      const other = readObject(item, where);
      return {name: readText(other.name, `${where}.name`), version: readText(other.version, `${where}.version`)};
    }),
    tiers: readList(history.tiers ?? [], 'tiers', readText),
    versions,
    findings: readList(history.findings, 'findings', (item, where) => {
      const finding = readObject(item, where);
      return {
        name: readText(finding.name, `${where}.name`),
        providers: readList(finding.providers, `${where}.providers`, readText),
        level: readChoice(finding.level, LEVELS, `${where}.level`),
        shows: whole(readList(finding.shows, `${where}.shows`, readShows), `${where}.shows`),
      };
    }),
    cells: readList(history.cells, 'cells', (item, where) => {
      const cell = readObject(item, where);
      const [feature, provider] = readText(cell.cell, `${where}.cell`).split('::');
      if (!feature || !provider) {
        throw new ShapeError(`${where}.cell`, 'expected `feature::provider`');
      }
      const sign = (value: unknown, place: string) => readChoice(value, SIGNS, place);
      return {feature, provider, signs: whole(readList(cell.signs, `${where}.signs`, sign), `${where}.signs`)};
    }),
  };
}

function readVersion(item: unknown, where: string): Version {
  const version = readObject(item, where);
  readNumber(version.works, `${where}.works`);
  return {
    version: readText(version.version, `${where}.version`),
    claudeCode: readOptionalText(version.claude_code, `${where}.claude_code`),
    unusable: readOptionalText(version.unusable, `${where}.unusable`),
  };
}

function readShows(value: unknown, where: string): boolean | undefined {
  if (value !== null && typeof value !== 'boolean') {
    throw new ShapeError(where, 'expected true, false or null');
  }
  return value ?? undefined;
}
