import {useEffect, useState, type ReactElement} from 'react';

import styles from './CopyButton.module.css';

type Props = {
  label: string;
  text: () => string;
};

/** Copies a text, and briefly shows whether it succeeded. */
export function CopyButton({label, text}: Props): ReactElement {
  const [said, setSaid] = useState<string>();
  useEffect(() => {
    const timer = said === undefined ? undefined : setTimeout(() => setSaid(undefined), 2000);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text());
      setSaid('Copied');
    } catch {
      setSaid('Copying is not allowed here');
    }
  };
  return (
    <button type="button" className={styles.copy} onClick={copy}>
      <span aria-live="polite">{said ?? label}</span>
    </button>
  );
}
