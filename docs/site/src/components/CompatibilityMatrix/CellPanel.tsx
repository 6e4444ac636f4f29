import {useId, useLayoutEffect, useRef, type MouseEvent, type ReactElement} from 'react';

import styles from './CellPanel.module.css';
import {CopyButton} from './CopyButton';
import type {EvidenceKind, Finding, Row, TierDetails} from './data/details';
import type {PastStatus} from './data/history';
import type {Feature, Matrix} from './data/matrix';
import {CellFindings} from './Findings';
import {FoldedMessage} from './FoldedMessage';
import {HistoryStrip} from './HistoryStrip';
import {providerName} from './names';
import {Reproduce} from './Reproduce';
import {explain, GLYPHS, MARK_NAMES, markOf} from './status';
import {Tiers} from './Tiers';

type Props = {
  matrix: Matrix;
  feature: Feature;
  provider: string;
  row: Row;
  tiers: TierDetails[];
  findings: Finding[];
  evidence?: EvidenceKind;
  /** The version since which a finding shows, if it is known. */
  since: (finding: Finding) => string | undefined;
  past: PastStatus[];
  onClose: () => void;
};

/** All that is known about a cell, in a sheet beside the page. */
export function CellPanel(props: Props): ReactElement {
  const {matrix, feature, provider, row, tiers, findings, evidence, since, past, onClose} = props;
  const dialog = useModal();
  const titleId = useId();
  const cell = feature.providers.get(provider) ?? {status: 'not_tested'};
  const mark = markOf(cell.status, tiers);
  const wasTried = cell.status === 'pass' || cell.status === 'fail';
  const closeOnBackdrop = (event: MouseEvent) => {
    if (event.target === dialog.current) {
      onClose();
    }
  };
  return (
    <dialog className={styles.panel} ref={dialog} aria-labelledby={titleId} onClose={onClose} onClick={closeOnBackdrop}>
      <div className={styles.sheet}>
        <header className={styles.header}>
          <p className={styles.status} data-status={cell.status}>
            <span aria-hidden="true">{GLYPHS[mark]}</span> {MARK_NAMES[mark]}
          </p>
          <button type="button" className={styles.close} onClick={onClose} aria-label="Close">
            ×
          </button>
          <h2 id={titleId}>
            {feature.name} <span className={styles.provider}>on {providerName(provider)}</span>
          </h2>
        </header>
        <About row={row} />
        {mark !== 'unfaithful' && !tiers.some((tier) => tier.error) && (
          <div className={styles.explanation} data-status={cell.status}>
            <FoldedMessage text={explain(cell, tiers)} />
          </div>
        )}
        <CellFindings matrix={matrix} feature={feature.id} findings={findings} tiers={tiers} since={since} />
        {wasTried && <Tiers tiers={tiers} evidence={evidence} />}
        <HistoryStrip past={past} />
        {wasTried && <Evidence kind={evidence} />}
        {wasTried && <Reproduce feature={feature.id} provider={provider} tiers={tiers} />}
        <footer className={styles.footer}>
          <CopyButton label="Copy link to this cell" text={() => window.location.href} />
        </footer>
      </div>
    </dialog>
  );
}

/** What the row is about, with its documentation and the clause of the contract. */
function About({row}: {row: Row}): ReactElement | null {
  const {description, clause, docs} = row;
  if (!description && !clause && !docs) {
    return null;
  }
  return (
    <p className={styles.about}>
      {description} {docs && <a href={docs}>Documentation</a>}
      {docs && clause && ' · '}
      {clause && <a href={`https://code.claude.com/docs/en/${clause}`}>Contract for gateways</a>}
    </p>
  );
}

function Evidence({kind}: {kind?: EvidenceKind}): ReactElement | null {
  if (!kind) {
    return null;
  }
  return (
    <section>
      <h3>Evidence</h3>
      {kind === 'live' ? (
        <p>Live: Claude Code ran through the gateway onto the real provider. What Claude Code printed was judged.</p>
      ) : (
        <p>
          Simulated: Claude Code ran through the gateway onto a stand-in for the provider. What Claude Code printed and
          what reached the provider were judged.
        </p>
      )}
    </section>
  );
}

function useModal() {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);
  return dialog;
}
