import type {ReactElement, ReactNode} from 'react';

import styles from './Facts.module.css';

export function Facts({children}: {children: ReactNode}): ReactElement {
  return <dl className={styles.facts}>{children}</dl>;
}

/** A fact with its name; nothing where there is nothing to say. */
export function Fact({name, children}: {name: string; children: ReactNode}): ReactElement | null {
  if (!children) {
    return null;
  }
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
