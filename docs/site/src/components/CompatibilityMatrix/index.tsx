import type {ReactElement} from 'react';

import {publishedDetails, publishedHistory, publishedMatrix} from './data/published';
import {MatrixFromFiles} from './MatrixFromFiles';

type Props = {
  /** The age in days at which the page warns that the results may be out of date. */
  staleAfterDays?: number;
};

/** The published matrix: `static/data/compatibility-*.json`, included when the site is built. */
export default function CompatibilityMatrix({staleAfterDays}: Props): ReactElement {
  return (
    <MatrixFromFiles
      matrix={publishedMatrix}
      details={publishedDetails}
      history={publishedHistory}
      staleAfterDays={staleAfterDays}
    />
  );
}
