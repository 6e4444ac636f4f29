import type {ReactElement} from 'react';

import styles from './FoldedMessage.module.css';
import {Message} from './Message';

/** Longer texts are folded. */
export const LONG = 320;

/** What a folded text shows. */
const START = 200;

/** A text of the test suite; only the start of a long one, until the reader unfolds it. */
export function FoldedMessage({text}: {text: string}): ReactElement {
  if (text.length <= LONG) {
    return <Message text={text} />;
  }
  return (
    <details className={styles.folded}>
      <summary>
        <span className={styles.start}>
          <Message text={startOf(text, START)} />{' '}
        </span>
        <span className={styles.more}>Show all</span>
        <span className={styles.less}>Show less</span>
      </summary>
      <Message text={text} />
    </details>
  );
}

/** A text of at most `most` characters; of a longer one the start, which ends with a line or a word and has no half of a code. */
export function startOf(text: string, most: number): string {
  if (text.length <= most) {
    return text;
  }
  const part = text.slice(0, most);
  const line = part.lastIndexOf('\n');
  const start = (line > most / 2 ? part.slice(0, line) : part.replace(/\s+\S*$/, '')).replace(/[\s…]+$/, '');
  const marks = start.split('`').length - 1;
  return `${start}${marks % 2 === 1 ? '`' : ''} …`;
}
