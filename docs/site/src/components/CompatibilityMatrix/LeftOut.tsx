import type {ReactElement} from 'react';

import styles from './MatrixView.module.css';

type Props = {
  name: string;
  file: {kind: 'read' | 'none'} | {kind: 'left_out'; why: string};
};

/** Says why a file next to the matrix was not used. */
export function LeftOut({name, file}: Props): ReactElement | null {
  if (file.kind !== 'left_out') {
    return null;
  }
  return (
    <p className={styles.leftOut}>
      The {name} file is left out: <code>{file.why}</code>
    </p>
  );
}
