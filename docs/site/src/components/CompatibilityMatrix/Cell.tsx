import {memo, type ReactElement} from 'react';

import type {Feature} from './data/matrix';
import styles from './Cell.module.css';
import {Message} from './Message';
import {cellAnchor, providerName} from './names';
import {explain, GLYPHS, STATUS_NAMES} from './status';

type Props = {
  feature: Feature;
  provider: string;
  /** The filter shows the row because of other cells. */
  subdued: boolean;
  hasKnownFailure: boolean;
};

/** A cell: a link that opens its panel, and the text of its tooltip. */
export const Cell = memo(function Cell({feature, provider, subdued, hasKnownFailure}: Props): ReactElement {
  const cell = feature.providers.get(provider) ?? {status: 'not_tested'};
  const anchor = cellAnchor(feature.id, provider);
  const explanationId = `${anchor}:explanation`;
  return (
    <td id={anchor} className={styles.cell}>
      <a
        className={styles.tile}
        href={`#${anchor}`}
        aria-describedby={explanationId}
        data-cell
        data-tooltip
        data-status={cell.status}
        data-subdued={subdued || undefined}
      >
        <span className={styles.glyph} aria-hidden="true">
          {GLYPHS[cell.status]}
        </span>
        {hasKnownFailure && <span className={styles.mark} aria-hidden="true" />}
        <span className={styles.unseen}>
          {STATUS_NAMES[cell.status]}: {feature.name} on {providerName(provider)}
        </span>
      </a>
      <span id={explanationId} className={styles.explanation} hidden>
        <Message text={explain(cell)} />
        {hasKnownFailure && ' (with a known failure)'}
      </span>
    </td>
  );
});
