import {rowOf, tiersOf, type Details} from './data/details';
import type {Feature, Matrix, Status} from './data/matrix';
import {MARKS, markOf, type Mark} from './status';

/** What a reader wants to see; an empty set leaves everything in. */
export type Filter = {
  providers: ReadonlySet<string>;
  marks: ReadonlySet<Mark>;
  /** The categories of what the reader uses. */
  uses: ReadonlySet<string>;
};

export const NO_FILTER: Filter = {providers: new Set(), marks: new Set(), uses: new Set()};

/** The rows and columns that a filter leaves. */
export type Shown = {
  providers: string[];
  features: Feature[];
  /** Whether to show a cell in full; the rest of a row that is shown stays, subdued. */
  isWanted: (feature: Feature, provider: string) => boolean;
};

/** An unfaithful cell is found by that mark and as a passing one. */
export function applyFilter(matrix: Matrix, filter: Filter, details?: Details): Shown {
  const {marks, uses} = filter;
  const isWanted = (feature: Feature, provider: string) =>
    marks.size === 0 ||
    marks.has(statusOf(feature, provider)) ||
    marks.has(cellMark(feature, provider, details));
  const isUsed = ({id}: Feature) => uses.size === 0 || uses.has(categoryOf(details, id));
  const providers = matrix.providers.filter((id) => filter.providers.size === 0 || filter.providers.has(id));
  const features = matrix.features.filter(
    (feature) => isUsed(feature) && providers.some((provider) => isWanted(feature, provider)),
  );
  return {providers, features, isWanted};
}

/** The name of the group for rows without a category, if others have one. */
const OTHER = 'Other';

function categoryOf(details: Details | undefined, feature: string): string {
  return rowOf(details, feature).category ?? OTHER;
}

export type Group = {category: string; features: Feature[]};

/** The features by category, in the order of the first of each; none if the file has no categories. */
export function groupsOf(features: Feature[], details?: Details): Group[] {
  if (!features.some(({id}) => rowOf(details, id).category)) {
    return [];
  }
  const groups = new Map<string, Feature[]>();
  for (const feature of features) {
    const category = categoryOf(details, feature.id);
    groups.set(category, [...(groups.get(category) ?? []), feature]);
  }
  return [...groups].map(([category, members]) => ({category, features: members}));
}

const KEYS = {providers: 'provider', marks: 'status', uses: 'uses'} as const;

/** The filter that the query of an address describes; what the matrix does not have is left out. */
export function filterOfQuery(query: string, matrix: Matrix, details?: Details): Filter {
  const asked = new URLSearchParams(query);
  const chosen = <T extends string>(key: string, known: readonly T[]): ReadonlySet<T> =>
    new Set(known.filter((item) => asked.getAll(key).includes(item)));
  return {
    providers: chosen(KEYS.providers, matrix.providers),
    marks: chosen(KEYS.marks, MARKS),
    uses: chosen(KEYS.uses, groupsOf(matrix.features, details).map(({category}) => category)),
  };
}

/** `query` with `filter` in place of the filter that it had; other parts stay. */
export function withFilter(query: string, filter: Filter): string {
  const asked = new URLSearchParams(query);
  for (const part of Object.keys(KEYS) as (keyof typeof KEYS)[]) {
    asked.delete(KEYS[part]);
    filter[part].forEach((item) => asked.append(KEYS[part], item));
  }
  const text = asked.toString();
  return text && `?${text}`;
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
