import type {ReactElement} from 'react';

import {SCHEMA_VERSION, type ReadMatrix} from './data/matrix';
import styles from './Placeholder.module.css';

/** Replaces the table if there is none to show. */
export function Placeholder({fault}: {fault: ReadMatrix}): ReactElement {
  return (
    <div className={styles.placeholder} role="alert">
      <p className={styles.title}>The compatibility matrix cannot be shown.</p>
      <Explanation fault={fault} />
    </div>
  );
}

function Explanation({fault}: {fault: ReadMatrix}): ReactElement {
  switch (fault.kind) {
    case 'other_version':
      return (
        <p>
          Its data has schema version {fault.version}, and this page reads version “{SCHEMA_VERSION}” only. Rather than
          show a table that may be wrong, it shows none. For maintainers: update the <code>CompatibilityMatrix</code>{' '}
          component.
        </p>
      );
    case 'malformed':
      return (
        <p>
          Its data is incomplete or damaged. For maintainers: <code>{fault.problem}</code>
        </p>
      );
    default:
      return (
        <p>
          Nothing has been published yet. For maintainers: <code>static/data/compatibility-matrix.json</code> is
          missing.
        </p>
      );
  }
}
