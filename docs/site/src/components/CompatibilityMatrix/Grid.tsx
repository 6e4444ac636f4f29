import {useId, type CSSProperties, type ReactElement} from 'react';

import {Cell} from './Cell';
import {tiersOf, type Details} from './data/details';
import {countStatuses, type Shown} from './filter';
import styles from './Grid.module.css';
import {providerName} from './names';

type Props = {
  shown: Shown;
  details?: Details;
};

/** The table: features down, providers across. */
export function Grid({shown, details}: Props): ReactElement {
  const captionId = useId();
  if (shown.features.length === 0) {
    return <p className={styles.empty}>No cell matches this filter.</p>;
  }
  return (
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
                <ColumnHead provider={provider} shown={shown} />
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
                  hasKnownFailure={tiersOf(details, feature.id, provider).some((tier) => tier.knownFailures.length > 0)}
                />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function ColumnHead({provider, shown}: {provider: string; shown: Shown}): ReactElement {
  const passing = countStatuses(shown.features, [provider]).pass;
  return (
    <>
      {providerName(provider)}
      <span className={styles.tally}>
        {passing} of {shown.features.length}
        <span className={styles.unseen}> passing</span>
      </span>
    </>
  );
}
