import type {ReactElement} from 'react';

import type {Details} from './data/details';
import type {Matrix} from './data/matrix';
import {reasonsOf, type Reason, type RowOfCells} from './failures';
import {FoldedMessage, LONG} from './FoldedMessage';
import styles from './InWords.module.css';
import {Message} from './Message';
import {providerName} from './names';
import {GLYPHS} from './status';

const TITLES = {
  fail: 'What fails, and why',
  not_applicable: 'What does not apply, and why',
  not_tested: 'What is not tested, and why',
};

type Props = {matrix: Matrix; details?: Details};

/** All cells that do not pass, as text: for pages without scripts, for search and for print. */
export function InWords({matrix, details}: Props): ReactElement {
  return (
    <div className={styles.inWords}>
      <CellsInWords matrix={matrix} details={details} status="fail" />
      <CellsInWords matrix={matrix} details={details} status="not_applicable" />
      <CellsInWords matrix={matrix} details={details} status="not_tested" />
    </div>
  );
}

function CellsInWords({matrix, details, status}: Props & {status: keyof typeof TITLES}): ReactElement | null {
  const reasons = reasonsOf(matrix, status, details);
  if (reasons.length === 0) {
    return null;
  }
  const count = reasons.flatMap(({rows}) => rows).reduce((sum, {providers}) => sum + providers.length, 0);
  return (
    <details className={styles.group}>
      <summary>
        <span className={styles.glyph} data-status={status} aria-hidden="true">
          {GLYPHS[status]}
        </span>
        {TITLES[status]} ({count})
      </summary>
      <dl>
        {reasons.map((reason, index) => (
          <ReasonInWords key={index} reason={reason} />
        ))}
      </dl>
    </details>
  );
}

/** The cells, what a user loses, and each text once, with its cells if there are several texts. */
function ReasonInWords({reason: {rows, loses, texts}}: {reason: Reason}): ReactElement {
  // What a user loses says enough to fold the texts together.
  const isFolded = loses.length > 0 && texts.reduce((sum, {text}) => sum + text.length, 0) > LONG;
  const Told = isFolded ? Message : FoldedMessage;
  const reports = texts.map(({text, rows: some}) => (
    <div key={text} className={styles.report}>
      {texts.length > 1 && <strong>{cellsInShort(some, rows.length > 1)}</strong>}
      <Told text={text} />
    </div>
  ));
  return (
    <div>
      {rows.map(({feature, providers}) => (
        <dt key={feature.id}>
          {feature.name} <span className={styles.providers}>{namesOf(providers)}</span>
        </dt>
      ))}
      {loses.map((sentence) => (
        <dd key={sentence}>
          <Message text={sentence} />
        </dd>
      ))}
      <dd>
        {isFolded ? (
          <details className={styles.reports}>
            <summary>What the tests reported</summary>
            {reports}
          </details>
        ) : (
          reports
        )}
      </dd>
    </div>
  );
}

function cellsInShort(rows: RowOfCells[], withFeature: boolean): string {
  return rows
    .map(({feature, providers}) => (withFeature ? `${feature.name} on ${namesOf(providers)}` : namesOf(providers)))
    .join('; ');
}

function namesOf(providers: string[]): string {
  return providers.map(providerName).join(', ');
}
