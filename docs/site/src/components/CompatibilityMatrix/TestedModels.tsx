import type {ReactElement} from 'react';

import type {Details} from './data/details';
import {listed} from './names';

/** The models of the run, in one sentence. */
export function TestedModels({details}: {details?: Details}): ReactElement {
  const names = details?.tiers.map(({name}) => name) ?? [];
  if (names.length === 0) {
    return <>Each test runs once on each tier of Claude models.</>;
  }
  return <>Each test runs once on each of these models, unless the feature does not exist there: {listed(names)}.</>;
}
