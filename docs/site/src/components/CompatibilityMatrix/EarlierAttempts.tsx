import type {ReactElement} from 'react';

import type {EarlierAttempt} from './data/details';
import {Message} from './Message';
import {inWords} from './names';
import styles from './Tiers.module.css';
import {duration} from './time';

/** The attempts that were repeated, and why. */
export function EarlierAttempts({attempts}: {attempts: EarlierAttempt[]}): ReactElement | null {
  if (attempts.length === 0) {
    return null;
  }
  return (
    <details className={styles.folded}>
      <summary>{attempts.length === 1 ? '1 earlier attempt' : `${attempts.length} earlier attempts`}</summary>
      <ol>
        {attempts.map(({cause, error, durationMs}, index) => (
          <li key={index}>
            {cause && `${inWords(cause)}, `}
            {duration(durationMs)}
            {error && (
              <>
                <br />
                <Message text={error} />
              </>
            )}
          </li>
        ))}
      </ol>
    </details>
  );
}
