import {readChoice, readList, readMap, readObject, readText, readTime, ShapeError, visible} from './shape';

/** The one version of `compatibility-matrix.json` that this component reads. */
export const SCHEMA_VERSION = '1';

export const STATUSES = ['pass', 'fail', 'not_applicable', 'not_tested'] as const;

export type Status = (typeof STATUSES)[number];

/** The result of a feature on a provider. */
export type CellStatus =
  | {status: 'pass'}
  | {status: 'fail'; error: string}
  | {status: 'not_applicable'; reason: string}
  | {status: 'not_tested'};

export type Feature = {
  id: string;
  name: string;
  providers: Map<string, CellStatus>;
};

/** `compatibility-matrix.json`, read and checked. */
export type Matrix = {
  generatedAt: Date;
  litellmVersion: string;
  claudeCodeVersion: string;
  /** Provider ids, in the order of the columns. */
  providers: string[];
  /** In the order of the rows. */
  features: Feature[];
};

export type ReadMatrix =
  | {kind: 'read'; matrix: Matrix}
  | {kind: 'missing'}
  | {kind: 'other_version'; version: string}
  | {kind: 'malformed'; problem: string};

/** Reads a matrix; for an unknown schema version it reads only the version. */
export function readMatrix(file: unknown): ReadMatrix {
  if (file === undefined || file === null) {
    return {kind: 'missing'};
  }
  try {
    const {schema_version: version} = readObject(file, 'the file');
    if (version !== SCHEMA_VERSION) {
      return {kind: 'other_version', version: version === undefined ? 'none' : visible(JSON.stringify(version))};
    }
    return {kind: 'read', matrix: readVersion1(file)};
  } catch (error) {
    if (error instanceof ShapeError) {
      return {kind: 'malformed', problem: error.message};
    }
    throw error;
  }
}

function readVersion1(file: unknown): Matrix {
  const matrix = readObject(file, 'the file');
  const providers = unique(readList(matrix.providers, 'providers', readText), 'providers');
  const features = readList(matrix.features, 'features', (item, where) => readFeature(item, where, providers));
  unique(features.map((feature) => feature.id), 'features');
  return {
    generatedAt: readTime(matrix.generated_at, 'generated_at'),
    litellmVersion: readText(matrix.litellm_version, 'litellm_version'),
    claudeCodeVersion: readText(matrix.claude_code_version, 'claude_code_version'),
    providers,
    features,
  };
}

function readFeature(item: unknown, where: string, providers: string[]): Feature {
  const feature = readObject(item, where);
  const cells = readMap(feature.providers, `${where}.providers`, (cell) => cell);
  return {
    id: readText(feature.id, `${where}.id`),
    name: readText(feature.name, `${where}.name`),
    providers: new Map(
      providers.map((provider) => [provider, readCell(cells.get(provider), `${where}.providers.${provider}`)]),
    ),
  };
}

function readCell(item: unknown, where: string): CellStatus {
  const cell = readObject(item, where);
  const status = readChoice(cell.status, STATUSES, `${where}.status`);
  switch (status) {
    case 'fail':
      return {status, error: readText(cell.error, `${where}.error`)};
    case 'not_applicable':
      return {status, reason: readText(cell.reason, `${where}.reason`)};
    default:
      return {status};
  }
}

function unique(names: string[], where: string): string[] {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new ShapeError(where, `\`${twice}\` stands there twice`);
  }
  return names;
}
