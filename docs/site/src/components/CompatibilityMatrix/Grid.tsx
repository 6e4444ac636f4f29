import {useId, type CSSProperties, type ReactElement} from 'react';

import {Cell} from './Cell';
import {findingsOf, type Details} from './data/details';
import type {Feature, Matrix} from './data/matrix';
import {cellMark, countMarks, type Shown} from './filter';
import styles from './Grid.module.css';
import {providerName} from './names';
import {GLYPHS} from './status';

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
  const hasUnfaithful = countMarks(shown.features, shown.providers, details).unfaithful > 0;
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
                    subdued={!shown.isWanted(feature, provider)}
                    mark={cellMark(feature, provider, details)}
                    loses={losesOf(feature, provider, details)}
                  />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {hasUnfaithful && (
        <p className={styles.marks}>
          <span className={styles.glyph} data-status="pass">
            {GLYPHS.unfaithful}
          </span>{' '}
          Works, unfaithful: the feature works, but the gateway breaks its contract with Claude Code. It counts as passing.
          The findings below say what you lose.
        </p>
      )}
    </>
  );
}

/** What a user loses in a cell, no sentence twice. */
function losesOf(feature: Feature, provider: string, details?: Details): string {
  const sentences = findingsOf(details, feature.id, provider).map(({loses}) => loses);
  return sentences.filter((sentence, index) => sentences.indexOf(sentence) === index).join(' ');
}

function ColumnHead({provider, matrix}: {provider: string; matrix: Matrix}): ReactElement {
  const counts = countMarks(matrix.features, [provider]);
  const applicable = matrix.features.length - counts.not_applicable;
  return (
    <>
      {providerName(provider)}
      <span className={styles.tally}>{applicable === 0 ? 'not applicable' : `${counts.pass} of ${applicable} pass`}</span>
    </>
  );
}
