import type {ReactElement} from 'react';

import styles from './Banner.module.css';

/** Where a reader finds more: its address by its name. */
export type Links = Readonly<Record<string, string>>;

/** The links to the data behind the table, and to the programs that made it. */
export function Sources({links}: {links: Links}): ReactElement | null {
  const named = Object.entries(links);
  if (named.length === 0) {
    return null;
  }
  return (
    <nav className={styles.sources} aria-label="Data of this page">
      {named.map(([name, address]) => (
        <a key={name} href={address}>
          {name}
        </a>
      ))}
    </nav>
  );
}
