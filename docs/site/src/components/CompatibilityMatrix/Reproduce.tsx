import type {ReactElement} from 'react';

import {CopyButton} from './CopyButton';
import type {TierDetails} from './data/details';
import styles from './Reproduce.module.css';

type Props = {
  feature: string;
  provider: string;
  tiers: TierDetails[];
};

/** `flags` say which gateway and versions were tested, if they were not the pinned ones. */
function command(flags: string, trials: string): string {
  return ['cargo test --test compat --', flags, trials].filter(Boolean).join(' ');
}

/** The commands that run the cell's trials again. */
export function Reproduce({feature, provider, tiers}: Props): ReactElement {
  const failing = tiers.filter((tier) => tier.status === 'fail');
  const commands =
    failing.length > 0
      ? failing.map(({flags, trial}) => command(flags, `--exact ${trial}`))
      : [command(tiers[0]?.flags ?? '', `${feature}::${provider}::`)];
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
