import type {ReactElement} from 'react';

import type {Judged, Verdict} from './data/details';
import styles from './Tiers.module.css';

const VERDICT_NAMES: Record<Verdict, string> = {
  held: 'held',
  broken: 'broken',
  not_judged: 'not judged in a live run',
};

/** The cell's expectations on a tier, each with its verdict. */
export function Expectations({expectations}: {expectations: Judged[]}): ReactElement | null {
  if (expectations.length === 0) {
    return null;
  }
  const held = expectations.filter(({verdict}) => verdict === 'held').length;
  return (
    <details className={styles.folded}>
      <summary>
        {held} of {expectations.length} {expectations.length === 1 ? 'expectation' : 'expectations'} held
      </summary>
      <ul>
        {expectations.map(({name, verdict, level, clause}, index) => (
          <li key={index}>
            <code>{name}</code> {VERDICT_NAMES[verdict]}
            {level === 'contract' && ' (contract)'}
            {clause && (
              <>
                {', by clause '}
                <code>{clause}</code>
              </>
            )}
          </li>
        ))}
      </ul>
    </details>
  );
}
