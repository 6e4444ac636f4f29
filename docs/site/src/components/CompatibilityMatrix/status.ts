import type {TierDetails} from './data/details';
import type {CellStatus, Status} from './data/matrix';

/** What a cell shows: its status, and of a passing one whether the gateway breaks the contract there. */
export type Mark = Status | 'unfaithful';

/** All marks, in the order of the legend. */
export const MARKS: readonly Mark[] = ['pass', 'unfaithful', 'fail', 'not_applicable', 'not_tested'];

/** The sign of a mark: read without its colour. */
export const GLYPHS: Record<Mark, string> = {
  pass: '✓',
  unfaithful: '✓*',
  fail: '✗',
  not_applicable: '—',
  not_tested: '?',
};

export const MARK_NAMES: Record<Mark, string> = {
  pass: 'Passing',
  unfaithful: 'Works, unfaithful',
  fail: 'Failing',
  not_applicable: 'Not applicable',
  not_tested: 'Not tested',
};

/** The mark of a cell: `unfaithful` if it passes, a tier is unfaithful and none is broken. */
export function markOf(status: Status, tiers: TierDetails[]): Mark {
  const has = (verdict: TierDetails['verdict']) => tiers.some((tier) => tier.verdict === verdict);
  return status === 'pass' && has('unfaithful') && !has('broken') ? 'unfaithful' : status;
}

/** A cell in a few words: the error, the reason, or that there is none. `tiers` are the cell's. */
export function explain(cell: CellStatus, tiers: TierDetails[]): string {
  switch (cell.status) {
    case 'pass':
      return 'Tested & passing';
    case 'fail':
      return cell.error;
    case 'not_applicable':
      return cell.reason;
    case 'not_tested':
      return whyNotTested(tiers) ?? 'This run did not test the combination on every model.';
  }
}

/** Without a reason, the run was filtered, broke off or could not judge a trial, or there is no test. */
function whyNotTested(tiers: TierDetails[]): string | undefined {
  return tiers.find(({status, reason}) => status === 'not_tested' && reason)?.reason;
}
