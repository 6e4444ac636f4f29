import type {ReactElement} from 'react';

import {CopyButton} from './CopyButton';
import type {TierDetails} from './data/details';
import styles from './Reproduce.module.css';

type Props = {
  feature: string;
  provider: string;
  tiers: TierDetails[];
};

/** The commands that run the cell's trials again. */
export function Reproduce({feature, provider, tiers}: Props): ReactElement {
  const failing = tiers.filter((tier) => tier.status === 'fail');
  const commands =
    failing.length > 0
      ? failing.map(({trial}) => `cargo test --test compat -- --exact ${trial}`)
      : [`cargo test --test compat -- ${feature}::${provider}::`];
  return (
    <section>
      <h3>Reproduce</h3>
      <p>In a checkout of the compatibility suite:</p>
      {commands.map((command) => (
        <div className={styles.command} key={command}>
          <pre>
            <code>{command}</code>
          </pre>
          <CopyButton label="Copy" text={() => command} />
        </div>
      ))}
    </section>
  );
}
