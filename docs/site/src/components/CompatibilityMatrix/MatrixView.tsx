import {useCallback, useMemo, useRef, useState, type MouseEvent, type ReactElement} from 'react';

import {Banner} from './Banner';
import {CellPanel} from './CellPanel';
import {findingsOf, tiersOf, type ReadDetails} from './data/details';
import {pastOf, type ReadHistory} from './data/history';
import type {Matrix} from './data/matrix';
import {Filters} from './Filters';
import {Findings} from './Findings';
import {applyFilter, NO_FILTER} from './filter';
import {Grid} from './Grid';
import {replaceHash, useHash, useHydrated} from './hooks';
import {InWords} from './InWords';
import {LeftOut} from './LeftOut';
import styles from './MatrixView.module.css';
import {cellAnchor, isSameAnchor} from './names';
import {Tooltip} from './Tooltip';

type Props = {
  matrix: Matrix;
  details: ReadDetails;
  history: ReadHistory;
  staleAfterDays: number;
};

export function MatrixView({matrix, details: readDetails, history: readHistory, staleAfterDays}: Props): ReactElement {
  const hydrated = useHydrated();
  const root = useRef<HTMLDivElement>(null);
  const [filter, setFilter] = useState(NO_FILTER);
  const details = readDetails.kind === 'read' ? readDetails.details : undefined;
  const shown = useMemo(() => applyFilter(matrix, filter, details), [matrix, filter, details]);
  const opened = useOpenedCell(matrix);
  const snapshots = readHistory.kind === 'read' ? readHistory.snapshots : [];

  const openCell = useCallback((event: MouseEvent) => {
    const link = (event.target as Element).closest<HTMLAnchorElement>('a[data-cell]');
    if (link && !isForAnotherTab(event)) {
      event.preventDefault();
      replaceHash(link.hash.slice(1));
    }
  }, []);

  return (
    <div className={styles.root} ref={root} data-live={hydrated || undefined}>
      <Banner matrix={matrix} evidence={details?.evidence} staleAfterDays={staleAfterDays} />
      <LeftOut name="details" file={readDetails} />
      <LeftOut name="history" file={readHistory} />
      <Filters
        matrix={matrix}
        details={details}
        shown={shown}
        filter={filter}
        onChange={setFilter}
        disabled={!hydrated}
      />
      <div onClick={openCell}>
        <Grid matrix={matrix} shown={shown} details={details} />
        <Findings matrix={matrix} findings={details?.findings ?? []} />
      </div>
      <InWords matrix={matrix} />
      {hydrated && <Tooltip root={root} />}
      {hydrated && opened && (
        <CellPanel
          matrix={matrix}
          feature={opened.feature}
          provider={opened.provider}
          tiers={tiersOf(details, opened.feature.id, opened.provider)}
          findings={findingsOf(details, opened.feature.id, opened.provider)}
          evidence={details?.evidence}
          past={pastOf(snapshots, opened.feature.id, opened.provider)}
          onClose={() => replaceHash('')}
        />
      )}
    </div>
  );
}

/** The cell that the page's address names. */
function useOpenedCell(matrix: Matrix) {
  const hash = useHash();
  return useMemo(() => {
    const cells = matrix.features.flatMap((feature) => matrix.providers.map((provider) => ({feature, provider})));
    return cells.find(({feature, provider}) => isSameAnchor(cellAnchor(feature.id, provider), hash));
  }, [matrix, hash]);
}

function isForAnotherTab(event: MouseEvent): boolean {
  return event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
}
