import {inWords} from '../names';
import {LEVELS, type Finding, type Level} from './details';
import {readChoice, readList, readNumber, readObject, readOptionalText, readText, ShapeError} from './shape';

/** The one version of `version-history.json` that this component reads. */
export const VERSIONS_SCHEMA_VERSION = '1';

const SIGNS = ['✓', '✓*', '~', '✗', '!', '—', '?'] as const;

type Sign = (typeof SIGNS)[number];

export type Version = {version: string; claudeCode?: string; unusable?: string};

type FindingOfVersions = {name: string; level: Level; shows: (boolean | undefined)[]};

type CellOfVersions = {feature: string; provider: string; signs: Sign[]};

/** `version-history.json`, which `compat history --format json` prints: the oldest version first. */
export type VersionHistory = {
  /** For readers. */
  tool: string;
  configuration?: string;
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

/**
 * The first version of those that show a finding up to the newest one, in words; nothing if the newest does not show it. The version
 * before is known not to show it, unless the words say "or earlier".
 */
export function sinceVersion({tool, versions, findings}: VersionHistory, finding: Finding): string | undefined {
  const names = finding.known ? [finding.known.name] : finding.subjects;
  const shows = findings.find(({name}) => names.includes(name))?.shows;
  if (!shows) {
    return undefined;
  }
  const absent = shows.lastIndexOf(false);
  const first = shows.indexOf(true, absent + 1);
  const version = versions[first];
  if (!version) {
    return undefined;
  }
  const isKnown = absent === first - 1 && absent >= 0;
  return `${tool} ${version.version}${isKnown ? '' : ' or earlier'}`;
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
  const tool = readText(history.tool, 'tool');
  const versions = readList(history.versions, 'versions', readVersion);
  const whole = <T>(values: T[], where: string): T[] => {
    if (values.length !== versions.length) {
      throw new ShapeError(where, `expected ${versions.length} entries, one for each version`);
    }
    return values;
  };
  return {
    tool: tool === 'litellm' ? 'LiteLLM' : inWords(tool),
    configuration: readOptionalText(history.configuration, 'configuration'),
    versions,
    findings: readList(history.findings, 'findings', (item, where) => {
      const finding = readObject(item, where);
      return {
        name: readText(finding.name, `${where}.name`),
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
