import useBaseUrl from '@docusaurus/useBaseUrl';
import {useMemo, type ReactElement} from 'react';

import {readDetails} from './data/details';
import {readMatrix} from './data/matrix';
import {publishedDetails, publishedHistory, publishedMatrix, publishedVersions} from './data/published';
import {MatrixFromFiles} from './MatrixFromFiles';
import {TestedModels as ModelsInShort} from './TestedModels';

type Props = {
  /** The age in days at which the page warns that the results may be out of date. */
  staleAfterDays?: number;
  /** The address of the tests that made the matrix. */
  suite?: string;
  /** The address of the feed of changes. `compat matrix history` writes it, and the history: without one, the other is missing. */
  feed?: string;
};

/** The published matrix: the files of `static/data/`, included when the site is built. */
export default function CompatibilityMatrix({staleAfterDays, suite, feed}: Props): ReactElement {
  const data = useBaseUrl('/data/');
  const links: Record<string, string> = {};
  if (publishedMatrix) {
    links['Matrix (JSON)'] = `${data}compatibility-matrix.json`;
  }
  if (publishedDetails) {
    links['Details (JSON)'] = `${data}compatibility-details.json`;
  }
  if (publishedVersions) {
    links['Versions (JSON)'] = `${data}version-history.json`;
  }
  const feedAddress = useBaseUrl(feed ?? '');
  if (feed && publishedHistory) {
    links['Changes (Atom)'] = feedAddress;
  }
  if (suite) {
    links['Tests'] = suite;
  }
  return (
    <MatrixFromFiles
      matrix={publishedMatrix}
      details={publishedDetails}
      history={publishedHistory}
      versions={publishedVersions}
      staleAfterDays={staleAfterDays}
      links={links}
    />
  );
}

/** The models of the published run, in one sentence. */
export function TestedModels(): ReactElement {
  const details = useMemo(() => {
    const matrix = readMatrix(publishedMatrix);
    const read = matrix.kind === 'read' ? readDetails(publishedDetails, matrix.matrix) : undefined;
    return read?.kind === 'read' ? read.details : undefined;
  }, []);
  return <ModelsInShort details={details} />;
}
