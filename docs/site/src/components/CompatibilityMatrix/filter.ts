import {tiersOf, type Details} from './data/details';
import type {Feature, Matrix, Status} from './data/matrix';
import {markOf, type Mark} from './status';

/** What a reader wants to see; an empty set leaves everything in. */
export type Filter = {
  providers: ReadonlySet<string>;
  marks: ReadonlySet<Mark>;
};

export const NO_FILTER: Filter = {providers: new Set(), marks: new Set()};

/** The rows and columns that a filter leaves. */
export type Shown = {
  providers: string[];
  features: Feature[];
  /** Whether to show a cell in full; the rest of a row that is shown stays, subdued. */
  isWanted: (feature: Feature, provider: string) => boolean;
};

/** An unfaithful cell is found by that mark and as a passing one. */
export function applyFilter(matrix: Matrix, filter: Filter, details?: Details): Shown {
  const {marks} = filter;
  const isWanted = (feature: Feature, provider: string) =>
    marks.size === 0 ||
    marks.has(statusOf(feature, provider)) ||
    marks.has(cellMark(feature, provider, details));
  const providers = matrix.providers.filter((id) => filter.providers.size === 0 || filter.providers.has(id));
  const features = matrix.features.filter((feature) => providers.some((provider) => isWanted(feature, provider)));
  return {providers, features, isWanted};
}

export function statusOf(feature: Feature, provider: string): Status {
  return feature.providers.get(provider)?.status ?? 'not_tested';
}

export function cellMark(feature: Feature, provider: string, details?: Details): Mark {
  return markOf(statusOf(feature, provider), tiersOf(details, feature.id, provider));
}

/** How many cells of these columns have each mark; an unfaithful cell is counted as a passing one too. */
export function countMarks(features: Feature[], providers: string[], details?: Details): Record<Mark, number> {
  const counts: Record<Mark, number> = {pass: 0, unfaithful: 0, fail: 0, not_applicable: 0, not_tested: 0};
  for (const feature of features) {
    for (const provider of providers) {
      const mark = cellMark(feature, provider, details);
      counts[statusOf(feature, provider)] += 1;
      counts.unfaithful += mark === 'unfaithful' ? 1 : 0;
    }
  }
  return counts;
}

/** `chosen` with `item` put in, or taken out if it was in. */
export function toggle<T>(chosen: ReadonlySet<T>, item: T): ReadonlySet<T> {
  const next = new Set(chosen);
  if (!next.delete(item)) {
    next.add(item);
  }
  return next;
}
