import {useId, type ReactElement} from 'react';

import styles from './Banner.module.css';
import type {EvidenceKind} from './data/details';
import type {Matrix} from './data/matrix';
import {useNow} from './hooks';
import {ageInDays, localTime, localTimeZone, relativeTime, utcTime} from './time';

type Props = {
  matrix: Matrix;
  evidence?: EvidenceKind;
  /** The gateway's name for readers. */
  gateway: string;
  /** The configuration of the gateway, unless it is the usual one. */
  configuration?: string;
  /** The API in which Claude Code called the gateway, unless it is the Messages API. */
  clientFormat?: string;
  staleAfterDays: number;
};

/** The time and the versions of the matrix. */
export function Banner({matrix, evidence, gateway, configuration, clientFormat, staleAfterDays}: Props): ReactElement {
  const now = useNow();
  return (
    <>
      <dl className={styles.banner}>
        <div>
          <dt>Last updated</dt>
          <dd>
            <UpdatedTime time={matrix.generatedAt} now={now} />
          </dd>
        </div>
        <div>
          <dt>{gateway}</dt>
          <dd>{matrix.litellmVersion}</dd>
        </div>
        <div>
          <dt>Claude Code</dt>
          <dd>{matrix.claudeCodeVersion}</dd>
        </div>
        {configuration && (
          <div>
            <dt>Configuration</dt>
            <dd>{configuration}</dd>
          </div>
        )}
        {clientFormat && (
          <div>
            <dt>Client format</dt>
            <dd>{clientFormat}</dd>
          </div>
        )}
        {evidence && (
          <div>
            <dt>Tested against</dt>
            <dd>{evidence === 'live' ? 'Live providers' : 'Simulated providers'}</dd>
          </div>
        )}
      </dl>
      {evidence === 'simulated' && <SimulationNote />}
      {now && (
        <StalenessWarning
          gateway={gateway}
          days={ageInDays(matrix.generatedAt, now)}
          staleAfterDays={staleAfterDays}
        />
      )}
    </>
  );
}

function UpdatedTime({time, now}: {time: Date; now?: Date}): ReactElement {
  const descriptionId = useId();
  if (!now) {
    return <time dateTime={time.toISOString()}>{utcTime(time)}</time>;
  }
  return (
    <>
      <button type="button" className={styles.time} aria-describedby={descriptionId} data-tooltip>
        <time dateTime={time.toISOString()}>{relativeTime(time, now)}</time>
      </button>
      <span id={descriptionId} hidden>
        {localTime(time)}
        <br />
        Your time zone: {localTimeZone()}
      </span>
    </>
  );
}

function SimulationNote(): ReactElement {
  return (
    <p className={styles.simulated} role="note">
      <strong>A simulated run.</strong> Claude Code and the gateway are the real programs; a simulator answers in place
      of the providers.
    </p>
  );
}

function StalenessWarning({
  gateway,
  days,
  staleAfterDays,
}: {
  gateway: string;
  days: number;
  staleAfterDays: number;
}): ReactElement | null {
  if (days < 0) {
    return (
      <p className={styles.stale} role="note">
        <strong>These results are dated in the future.</strong> The clock of the run or of this computer is wrong.
      </p>
    );
  }
  if (days < staleAfterDays) {
    return null;
  }
  return (
    <p className={styles.stale} role="note">
      <strong>These results are {days} days old.</strong> Newer releases of {gateway} or Claude Code may behave
      differently.
    </p>
  );
}
