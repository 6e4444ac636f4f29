import {STATUSES, type Status} from './matrix';
import {readChoice, readList, readMap, readObject, readText, readTime, ShapeError} from './shape';

/** The one version of `compatibility-history.json` that this component reads. */
export const HISTORY_SCHEMA_VERSION = '1';

/** An earlier published matrix. */
export type Snapshot = {
  generatedAt: Date;
  litellmVersion: string;
  claudeCodeVersion: string;
  /** Feature id, then provider id. */
  cells: Map<string, Map<string, Status>>;
};

/** The status of a cell in one published matrix. */
export type PastStatus = {
  generatedAt: Date;
  litellmVersion: string;
  claudeCodeVersion: string;
  status: Status;
};

export type ReadHistory = {kind: 'read'; snapshots: Snapshot[]} | {kind: 'none'} | {kind: 'left_out'; why: string};

/** Reads the history and sorts it, the oldest matrix first. */
export function readHistory(file: unknown): ReadHistory {
  if (file === undefined || file === null) {
    return {kind: 'none'};
  }
  try {
    return {kind: 'read', snapshots: readVersion1(file)};
  } catch (error) {
    if (error instanceof ShapeError) {
      return {kind: 'left_out', why: error.message};
    }
    throw error;
  }
}

/** The status of a cell in each matrix that has it, the oldest first. */
export function pastOf(snapshots: Snapshot[], feature: string, provider: string): PastStatus[] {
  return snapshots.flatMap(({cells, ...run}) => {
    const status = cells.get(feature)?.get(provider);
    return status === undefined ? [] : [{...run, status}];
  });
}

function readVersion1(file: unknown): Snapshot[] {
  const history = readObject(file, 'the file');
  if (history.schema_version !== HISTORY_SCHEMA_VERSION) {
    throw new ShapeError('schema_version', `expected "${HISTORY_SCHEMA_VERSION}"`);
  }
  const snapshots = readList(history.snapshots, 'snapshots', readSnapshot);
  return snapshots.sort((left, right) => left.generatedAt.getTime() - right.generatedAt.getTime());
}

function readSnapshot(item: unknown, where: string): Snapshot {
  const snapshot = readObject(item, where);
  return {
    generatedAt: readTime(snapshot.generated_at, `${where}.generated_at`),
    litellmVersion: readText(snapshot.litellm_version, `${where}.litellm_version`),
    claudeCodeVersion: readText(snapshot.claude_code_version, `${where}.claude_code_version`),
    cells: readMap(snapshot.cells, `${where}.cells`, (feature, place) => readMap(feature, place, readStatus)),
  };
}

function readStatus(value: unknown, where: string): Status {
  return readChoice(value, STATUSES, where);
}
