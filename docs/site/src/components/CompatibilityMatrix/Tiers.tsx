import {Fragment, type ReactElement} from 'react';

import type {EvidenceKind, TierDetails} from './data/details';
import {EarlierAttempts} from './EarlierAttempts';
import {Expectations} from './Expectations';
import {Failure} from './Failure';
import {tierSetName} from './names';
import {GLYPHS, MARK_NAMES, markOf} from './status';
import styles from './Tiers.module.css';
import {duration} from './time';

/** The cell's result on each tier of models. */
export function Tiers({tiers, evidence}: {tiers: TierDetails[]; evidence?: EvidenceKind}): ReactElement | null {
  if (tiers.length === 0) {
    return null;
  }
  return (
    <section>
      <h3>Models</h3>
      {setsOf(tiers).map((set) => (
        <Fragment key={set ?? ''}>
          {set !== undefined && <h4 className={styles.set}>{tierSetName(set)}</h4>}
          <ul className={styles.tiers}>
            {tiers
              .filter((tier) => tier.set === set)
              .map((tier) => (
                <li key={tier.tier}>
                  <Tier tier={tier} isPaid={evidence === 'live'} />
                </li>
              ))}
          </ul>
        </Fragment>
      ))}
    </section>
  );
}

/** The sets of the tiers, in order; `undefined` stands for tiers without one. */
export function setsOf(tiers: {set?: string}[]): (string | undefined)[] {
  return [...new Set(tiers.map((tier) => tier.set))];
}

function Tier({tier, isPaid}: {tier: TierDetails; isPaid: boolean}): ReactElement {
  const mark = markOf(tier.status, [tier]);
  return (
    <>
      <p className={styles.head}>
        <span className={styles.glyph} data-status={tier.status} aria-hidden="true">
          {GLYPHS[mark]}
        </span>
        <strong>{tier.name}</strong>
        <span className={styles.word}>
          {MARK_NAMES[mark]}
          {tier.flaky && ' after a failed attempt'}
        </span>
        <span className={styles.effort}>{effort(tier, isPaid)}</span>
      </p>
      <div className={styles.more}>
        {tier.model && (
          <p className={styles.model}>
            Model <code>{tier.model}</code>
            {tier.providerModel && tier.providerModel !== tier.model && (
              <>
                , at the provider <code>{tier.providerModel}</code>
              </>
            )}
          </p>
        )}
        {tier.status === 'fail' && <Failure tier={tier} />}
        <EarlierAttempts attempts={tier.earlierAttempts} />
        <Expectations expectations={tier.expectations} />
      </div>
    </>
  );
}

/** `2 attempts · 12.3 s · $0.0041`; a simulated run costs nothing. */
function effort({attempts, durationMs, costUsd}: TierDetails, isPaid: boolean): string {
  return [
    attempts !== undefined && attempts > 1 && `${attempts} attempts`,
    durationMs !== undefined && duration(durationMs),
    isPaid && costUsd !== undefined && costUsd > 0 && `$${costUsd.toFixed(costUsd < 0.01 ? 4 : 2)}`,
  ]
    .filter(Boolean)
    .join(' · ');
}
