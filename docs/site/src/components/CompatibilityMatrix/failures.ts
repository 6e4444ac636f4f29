import {changeOf, findingsOf, tiersOf, type Details} from './data/details';
import type {CellStatus, Feature, Matrix} from './data/matrix';
import {statusOf} from './filter';
import {explain} from './status';

/** A feature, and the providers on which it has the status of the group. */
export type RowOfCells = {feature: Feature; providers: string[]};

/** Cells that do not pass for the same reason: the same findings, or else the same text. */
export type Reason = {
  rows: RowOfCells[];
  /** What a user loses by the findings, no sentence twice. */
  loses: string[];
  /** The texts of the cells, each once. */
  texts: {text: string; rows: RowOfCells[]}[];
};

/** The cells with a status by their reasons, in the order of the first of each. */
export function reasonsOf(matrix: Matrix, status: CellStatus['status'], details?: Details): Reason[] {
  const reasons = new Map<string, Reason>();
  for (const feature of matrix.features) {
    for (const provider of matrix.providers.filter((id) => statusOf(feature, id) === status)) {
      const findings = status === 'fail' ? featureFindings(details, feature, provider) : [];
      const cell = feature.providers.get(provider) ?? {status: 'not_tested'};
      const text = explain(cell, tiersOf(details, feature.id, provider));
      const key = findings.length > 0 ? JSON.stringify(findings.map(changeOf).sort()) : text;
      const reason = reasons.get(key) ?? {rows: [], loses: unique(findings.map(({loses}) => loses)), texts: []};
      reasons.set(key, reason);
      addCell(reason.rows, feature, provider);
      const same = reason.texts.find((other) => other.text === text) ?? {text, rows: []};
      if (same.rows.length === 0) {
        reason.texts.push(same);
      }
      addCell(same.rows, feature, provider);
    }
  }
  return [...reasons.values()];
}

/** The findings that make a cell fail. */
function featureFindings(details: Details | undefined, {id}: Feature, provider: string) {
  return findingsOf(details, id, provider).filter(({level}) => level === 'feature');
}

function addCell(rows: RowOfCells[], feature: Feature, provider: string): void {
  const row = rows.find((other) => other.feature.id === feature.id);
  if (row) {
    row.providers.push(provider);
  } else {
    rows.push({feature, providers: [provider]});
  }
}

function unique(sentences: string[]): string[] {
  return [...new Set(sentences)];
}
