import {memo, type ReactElement} from 'react';

import type {Feature} from './data/matrix';
import styles from './Cell.module.css';
import {Message} from './Message';
import {cellAnchor, providerName} from './names';
import {GLYPHS, MARK_NAMES, type Mark} from './status';

type Props = {
  feature: Feature;
  provider: string;
  /** A filter leaves the row in, but not for this cell's sake. */
  subdued: boolean;
  mark: Mark;
  /** Whether the Tab key reaches the cell; unknown until scripts run. */
  isStop?: boolean;
  /** What the tooltip says. */
  explanation: string;
};

/** A cell: a link to itself, which opens its panel, and its explanation, which tooltips show. */
export const Cell = memo(function Cell({feature, provider, subdued, mark, isStop, explanation}: Props): ReactElement {
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
        data-stop
        tabIndex={isStop === false ? -1 : undefined}
        data-tooltip
        data-status={cell.status}
        data-subdued={subdued || undefined}
      >
        <span className={styles.glyph} aria-hidden="true">
          {GLYPHS[mark]}
        </span>
        <span className={styles.unseen}>
          {MARK_NAMES[mark]}: {feature.name} on {providerName(provider)}
        </span>
      </a>
      <span id={explanationId} className={styles.explanation} hidden>
        <Message text={explanation} />
      </span>
    </td>
  );
});
