import {useMemo, type ReactElement} from 'react';

import {readDetails} from './data/details';
import {readHistory} from './data/history';
import {readMatrix} from './data/matrix';
import {readVersions} from './data/versions';
import {MatrixView} from './MatrixView';
import {Placeholder} from './Placeholder';
import type {Links} from './Sources';

type Props = {
  /** The parsed `compatibility-matrix.json`. */
  matrix: unknown;
  /** `compatibility-details.json`, if there is one. */
  details?: unknown;
  /** `compatibility-history.json`, if there is one. */
  history?: unknown;
  /** `version-history.json`, if there is one. */
  versions?: unknown;
  staleAfterDays?: number;
  links?: Links;
};

/** Checks the files, and shows the matrix as a table or the reason why there is none. */
export function MatrixFromFiles({
  matrix: matrixFile,
  details,
  history,
  versions,
  staleAfterDays = 7,
  links = {},
}: Props): ReactElement {
  const matrix = useMemo(() => readMatrix(matrixFile), [matrixFile]);
  const beside = useMemo(
    () =>
      matrix.kind === 'read' && {
        details: readDetails(details, matrix.matrix),
        history: readHistory(history),
        versions: readVersions(versions),
      },
    [matrix, details, history, versions],
  );
  if (matrix.kind !== 'read' || !beside) {
    return <Placeholder fault={matrix} />;
  }
  return <MatrixView matrix={matrix.matrix} {...beside} staleAfterDays={staleAfterDays} links={links} />;
}
