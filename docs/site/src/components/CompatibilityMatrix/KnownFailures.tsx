import type {ReactElement} from 'react';

import type {KnownFailure, TierDetails} from './data/details';
import styles from './KnownFailures.module.css';
import {Message} from './Message';

/** The cell's known failures, with links to their issues. */
export function KnownFailures({tiers}: {tiers: TierDetails[]}): ReactElement | null {
  const known = new Map<string, KnownFailure>();
  for (const failure of tiers.flatMap((tier) => tier.knownFailures)) {
    known.set(`${failure.reason} ${failure.link}`, failure);
  }
  if (known.size === 0) {
    return null;
  }
  // Not `[...known]`: builds for old browsers compile that as if `known` were an array.
  const listed = Array.from(known);
  return (
    <section>
      <h3>Known failures</h3>
      <ul className={styles.known}>
        {listed.map(([key, {reason, link}]) => (
          <li key={key}>
            <Message text={reason} /> {isWebAddress(link) ? <a href={link}>{link.replace(/^https?:\/\//, '')}</a> : link}
          </li>
        ))}
      </ul>
    </section>
  );
}

function isWebAddress(link: string | undefined): link is string {
  return /^https?:\/\//.test(link ?? '');
}
