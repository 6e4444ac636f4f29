import type {CellStatus, Status} from './data/matrix';

/** The sign of a status: read without its colour. */
export const GLYPHS: Record<Status, string> = {pass: '✓', fail: '✗', not_applicable: '—', not_tested: '?'};

export const STATUS_NAMES: Record<Status, string> = {
  pass: 'Passing',
  fail: 'Failing',
  not_applicable: 'Not applicable',
  not_tested: 'Not tested',
};

/** One sentence about a cell: the error, the reason, or that there is none. */
export function explain(cell: CellStatus): string {
  switch (cell.status) {
    case 'pass':
      return 'Tested & passing';
    case 'fail':
      return cell.error;
    case 'not_applicable':
      return cell.reason;
    case 'not_tested':
      return 'No test for this combination yet.';
  }
}
