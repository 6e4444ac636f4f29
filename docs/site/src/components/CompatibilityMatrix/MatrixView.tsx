import {useCallback, useEffect, useMemo, useRef, useState, type MouseEvent, type ReactElement} from 'react';

import {Banner} from './Banner';
import {CellPanel} from './CellPanel';
import {findingsOf, rowOf, tiersOf, type Details, type Finding, type ReadDetails} from './data/details';
import {pastOf, type ReadHistory} from './data/history';
import type {Matrix} from './data/matrix';
import {historyInShort, isOfRun, sinceVersion, testedTools, toolName, type ReadVersions} from './data/versions';
import {Filters} from './Filters';
import {Findings, SuiteAddress} from './Findings';
import {applyFilter, filterOfQuery, NO_FILTER, withFilter, type Filter} from './filter';
import {Grid} from './Grid';
import {replaceHash, replaceQuery, useHash, useHydrated, useNarrow} from './hooks';
import {InWords} from './InWords';
import {LeftOut} from './LeftOut';
import styles from './MatrixView.module.css';
import {cellAnchor, cellOfAnchor, isSameAnchor} from './names';
import {RunFacts} from './RunFacts';
import {Sources, type Links} from './Sources';
import {Tooltip} from './Tooltip';
import {Versions} from './Versions';

type Props = {
  matrix: Matrix;
  details: ReadDetails;
  history: ReadHistory;
  versions: ReadVersions;
  staleAfterDays: number;
  links: Links;
};

export function MatrixView({
  matrix,
  details: readDetails,
  history: readHistory,
  versions: readVersions,
  staleAfterDays,
  links,
}: Props): ReactElement {
  const hydrated = useHydrated();
  const root = useRef<HTMLDivElement>(null);
  const details = readDetails.kind === 'read' ? readDetails.details : undefined;
  const [filter, setFilter] = useFilterOfAddress(matrix, details);
  const {opened, unknown} = useOpenedCell(matrix);
  const oneProvider = useNarrow() && matrix.providers.length > 1;
  const shown = useMemo(
    () => applyFilter(matrix, oneProvider ? onOneProvider(filter, matrix, opened?.provider) : filter, details),
    [matrix, filter, details, oneProvider, opened],
  );
  const versions = readVersions.kind === 'read' ? readVersions.history : undefined;
  const run = details && testedTools(matrix, details);
  const since = (finding: Finding) => versions && run && sinceVersion(versions, run, finding);
  const snapshots = readHistory.kind === 'read' ? readHistory.snapshots : [];

  const openCell = useCallback((event: MouseEvent) => {
    const link = (event.target as Element).closest<HTMLAnchorElement>('a[data-cell]');
    if (link && !isForAnotherTab(event)) {
      event.preventDefault();
      replaceHash(link.hash.slice(1));
    }
  }, []);

  return (
    <SuiteAddress.Provider value={links['Tests']}>
      <div className={styles.root} ref={root} data-live={hydrated || undefined}>
        <Banner
          matrix={matrix}
          evidence={details?.evidence}
          gateway={toolName(details?.gateway ?? 'litellm')}
          configuration={details?.configuration}
          clientFormat={details?.clientFormat}
          staleAfterDays={staleAfterDays}
        />
        <Sources links={links} />
        {details && <RunFacts matrix={matrix} details={details} />}
        <LeftOut name="details" file={readDetails} />
        <LeftOut name="history" file={readHistory} />
        <LeftOut name="versions" file={readVersions} />
        {versions && run && !isOfRun(versions, run) && (
          <p className={styles.leftOut}>
            The version history is of another configuration than this run ({historyInShort(versions)}), so no finding shows since when it is
            there.
          </p>
        )}
        <Filters
          matrix={matrix}
          details={details}
          shown={shown}
          filter={filter}
          onChange={setFilter}
          oneProvider={oneProvider}
          disabled={!hydrated}
        />
        {hydrated && unknown && (
          <p className={styles.leftOut} role="status">
            The address asks for the cell <code>{unknown}</code>, which this matrix does not have.
          </p>
        )}
        <div onClick={openCell}>
          <Grid matrix={matrix} shown={shown} details={details} hydrated={hydrated} />
          <Findings matrix={matrix} findings={details?.findings ?? []} since={since} />
        </div>
        {versions && <Versions matrix={matrix} details={details} history={versions} disabled={!hydrated} />}
        <InWords matrix={matrix} details={details} />
        {hydrated && <Tooltip root={root} />}
        {hydrated && opened && (
          <CellPanel
            matrix={matrix}
            feature={opened.feature}
            provider={opened.provider}
            row={rowOf(details, opened.feature.id)}
            tiers={tiersOf(details, opened.feature.id, opened.provider)}
            findings={findingsOf(details, opened.feature.id, opened.provider)}
            evidence={details?.evidence}
            since={since}
            past={pastOf(snapshots, opened.feature.id, opened.provider)}
            onClose={() => replaceHash('')}
          />
        )}
      </div>
    </SuiteAddress.Provider>
  );
}

/** The filter, which the query of the page's address keeps. */
function useFilterOfAddress(matrix: Matrix, details?: Details): [Filter, (filter: Filter) => void] {
  const [filter, setFilter] = useState(NO_FILTER);
  useEffect(() => setFilter(filterOfQuery(window.location.search, matrix, details)), [matrix, details]);
  const change = useCallback((next: Filter) => {
    replaceQuery(withFilter(window.location.search, next));
    setFilter(next);
  }, []);
  return [filter, change];
}

/** `filter` with one provider only: the first that is chosen, or that of the opened cell, or the first of all. */
function onOneProvider(filter: Filter, matrix: Matrix, opened?: string): Filter {
  const chosen = matrix.providers.find((id) => filter.providers.has(id)) ?? opened ?? matrix.providers[0];
  return {...filter, providers: new Set(chosen === undefined ? [] : [chosen])};
}

/** The cell that the page's address names, or the name of a cell that the matrix does not have. */
function useOpenedCell(matrix: Matrix) {
  const hash = useHash();
  return useMemo(() => {
    const cells = matrix.features.flatMap((feature) => matrix.providers.map((provider) => ({feature, provider})));
    const opened = cells.find(({feature, provider}) => isSameAnchor(cellAnchor(feature.id, provider), hash));
    return {opened, unknown: opened ? undefined : cellOfAnchor(hash)};
  }, [matrix, hash]);
}

function isForAnotherTab(event: MouseEvent): boolean {
  return event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
}
