import type {ReactElement} from 'react';

import type {Mismatch, TierDetails} from './data/details';
import {Fact, Facts} from './Facts';
import styles from './Failure.module.css';
import {FoldedMessage} from './FoldedMessage';
import {Message} from './Message';
import {inWords} from './names';

/** The failed expectations on a tier, and the cause. */
export function Failure({tier}: {tier: TierDetails}): ReactElement {
  return (
    <div className={styles.failure}>
      {tier.mismatches.map((mismatch, index) => (
        <MismatchTold key={index} mismatch={mismatch} />
      ))}
      {tier.mismatches.length === 0 && tier.error && (
        <div className={styles.summary}>
          <FoldedMessage text={tier.error} />
        </div>
      )}
      <Facts>
        <Fact name="Cause">
          {tier.cause && (
            <>
              {inWords(tier.cause)}
              {tier.why && (
                <span className={styles.why}>
                  {' '}
                  (<Message text={tier.why} />)
                </span>
              )}
            </>
          )}
        </Fact>
        <Fact name="On the wire">
          {tier.wire.length > 0 && (
            <ul>
              {tier.wire.map((line, index) => (
                <li key={index}>
                  <FoldedMessage text={line} />
                </li>
              ))}
            </ul>
          )}
        </Fact>
        <Fact name="Next">{tier.next && <Message text={tier.next} />}</Fact>
        <Fact name="Contract clause">{tier.clause && <code>{tier.clause}</code>}</Fact>
        <Fact name="Evidence">{tier.evidencePath && <code>{tier.evidencePath}</code>}</Fact>
      </Facts>
    </div>
  );
}

function MismatchTold({mismatch}: {mismatch: Mismatch}): ReactElement {
  return (
    <>
      <div className={styles.summary}>
        <FoldedMessage text={mismatch.summary} />
      </div>
      <Facts>
        <Fact name="Expected">{mismatch.expected && <FoldedMessage text={mismatch.expected} />}</Fact>
        <Fact name="Found">{mismatch.actual && <FoldedMessage text={mismatch.actual} />}</Fact>
      </Facts>
    </>
  );
}
