import type {ReactElement} from 'react';

import type {Matrix} from './data/matrix';
import {statusOf} from './filter';
import styles from './InWords.module.css';
import {Message} from './Message';
import {providerName} from './names';
import {explain, GLYPHS} from './status';

const TITLES = {
  fail: 'What fails, and why',
  not_applicable: 'What does not apply, and why',
  not_tested: 'What is not tested yet',
};

/** All cells that do not pass, as text: for pages without scripts, for search and for print. */
export function InWords({matrix}: {matrix: Matrix}): ReactElement {
  return (
    <div className={styles.inWords}>
      <CellsInWords matrix={matrix} status="fail" />
      <CellsInWords matrix={matrix} status="not_applicable" />
      <CellsInWords matrix={matrix} status="not_tested" />
    </div>
  );
}

function CellsInWords({matrix, status}: {matrix: Matrix; status: keyof typeof TITLES}): ReactElement | null {
  const features = matrix.features
    .map((feature) => ({feature, providers: matrix.providers.filter((id) => statusOf(feature, id) === status)}))
    .filter(({providers}) => providers.length > 0);
  if (features.length === 0) {
    return null;
  }
  const count = features.reduce((sum, {providers}) => sum + providers.length, 0);
  return (
    <details className={styles.group}>
      <summary>
        <span className={styles.glyph} data-status={status} aria-hidden="true">
          {GLYPHS[status]}
        </span>
        {TITLES[status]} ({count})
      </summary>
      <dl>
        {features.map(({feature, providers}) => (
          <div key={feature.id}>
            <dt>{feature.name}</dt>
            {providers.map((provider) => (
              <dd key={provider}>
                <strong>{providerName(provider)}</strong>
                {status !== 'not_tested' && (
                  <Message text={explain(feature.providers.get(provider) ?? {status: 'not_tested'})} />
                )}
              </dd>
            ))}
          </div>
        ))}
      </dl>
    </details>
  );
}
