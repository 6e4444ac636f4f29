import {useId, type CSSProperties, type ReactElement} from 'react';

import {Cell} from './Cell';
import {tiersOf, type Details} from './data/details';
import type {Matrix} from './data/matrix';
import {countStatuses, type Shown} from './filter';
import styles from './Grid.module.css';
import {providerName} from './names';

type Props = {
  matrix: Matrix;
  shown: Shown;
  details?: Details;
};

/** The table: features down, providers across. */
export function Grid({matrix, shown, details}: Props): ReactElement {
  const captionId = useId();
  if (shown.features.length === 0) {
    return <p className={styles.empty}>No cell matches this filter.</p>;
  }
  const isMarked = (feature: string, provider: string) =>
    tiersOf(details, feature, provider).some((tier) => tier.knownFailures.length > 0);
  const hasMarks = shown.features.some(({id}) => shown.providers.some((provider) => isMarked(id, provider)));
  return (
    <>
      <div className={styles.scroller} role="region" aria-labelledby={captionId} tabIndex={0}>
        <table className={styles.grid} style={{'--columns': shown.providers.length} as CSSProperties}>
          <caption id={captionId} className={styles.caption}>
            Claude Code features by provider
          </caption>
          <thead>
            <tr>
              <th scope="col" className={styles.corner}>
                Feature
              </th>
              {shown.providers.map((provider) => (
                <th scope="col" key={provider}>
                  <ColumnHead provider={provider} matrix={matrix} />
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.features.map((feature) => (
              <tr key={feature.id}>
                <th scope="row">{feature.name}</th>
                {shown.providers.map((provider) => (
                  <Cell
                    key={provider}
                    feature={feature}
                    provider={provider}
                    subdued={!shown.statuses.has(feature.providers.get(provider)?.status ?? 'not_tested')}
                    hasKnownFailure={isMarked(feature.id, provider)}
                  />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {hasMarks && (
        <p className={styles.marks}>
          <span className={styles.mark} aria-hidden="true" /> A dot: it works, apart from a failure that is known. Open the
          cell to read which.
        </p>
      )}
    </>
  );
}

function ColumnHead({provider, matrix}: {provider: string; matrix: Matrix}): ReactElement {
  const counts = countStatuses(matrix.features, [provider]);
  const applicable = matrix.features.length - counts.not_applicable;
  return (
    <>
      {providerName(provider)}
      <span className={styles.tally}>{applicable === 0 ? 'not applicable' : `${counts.pass} of ${applicable} pass`}</span>
    </>
  );
}
