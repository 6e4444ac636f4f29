import {useId, type ReactElement, type ReactNode} from 'react';

import styles from './Section.module.css';

type Props = {title: string; intro: ReactNode; children: ReactNode};

/** A part of the page below the table. */
export function Section({title, intro, children}: Props): ReactElement {
  const titleId = useId();
  return (
    <section className={styles.section} aria-labelledby={titleId}>
      <h2 id={titleId}>{title}</h2>
      <p className={styles.intro}>{intro}</p>
      {children}
    </section>
  );
}
