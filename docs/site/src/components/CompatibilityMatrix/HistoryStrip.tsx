import type {ReactElement} from 'react';

import type {PastStatus} from './data/history';
import styles from './HistoryStrip.module.css';
import {GLYPHS, MARK_NAMES} from './status';
import {localDate} from './time';

/** The number of earlier matrices to show, the newest ones. */
const LONGEST = 30;

/** The cell's status in earlier matrices, the oldest first. */
export function HistoryStrip({past}: {past: PastStatus[]}): ReactElement | null {
  const shown = past.slice(-LONGEST);
  const [oldest, newest] = [shown[0], shown.at(-1)];
  if (!oldest || !newest) {
    return null;
  }
  return (
    <section>
      <h3>Over time</h3>
      <ol className={styles.strip}>
        {shown.map((moment, index) => (
          <li
            key={index}
            className={styles.moment}
            data-status={moment.status}
            title={told(moment)}
          >
            <span aria-hidden="true">{GLYPHS[moment.status]}</span>
            <span className={styles.unseen}>{told(moment)}</span>
          </li>
        ))}
      </ol>
      <p className={styles.ends} aria-hidden="true">
        <span>{localDate(oldest.generatedAt)}</span>
        {newest !== oldest && <span>{localDate(newest.generatedAt)}</span>}
      </p>
    </section>
  );
}

function told({generatedAt, status, litellmVersion, claudeCodeVersion}: PastStatus): string {
  const versions = `LiteLLM ${litellmVersion}, Claude Code ${claudeCodeVersion}`;
  return `${localDate(generatedAt)}: ${MARK_NAMES[status].toLowerCase()} (${versions})`;
}
