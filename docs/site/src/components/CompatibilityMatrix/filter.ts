import {STATUSES, type Feature, type Matrix, type Status} from './data/matrix';

/** A reader's filter; an empty set selects everything. */
export type Filter = {
  providers: ReadonlySet<string>;
  statuses: ReadonlySet<Status>;
};

export const NO_FILTER: Filter = {providers: new Set(), statuses: new Set()};

/** The rows and columns that match a filter. */
export type Shown = {
  providers: string[];
  features: Feature[];
  /** Statuses to highlight; other cells of a shown row are dimmed. */
  statuses: ReadonlySet<Status>;
};

export function applyFilter(matrix: Matrix, filter: Filter): Shown {
  const statuses = filter.statuses.size > 0 ? filter.statuses : new Set(STATUSES);
  const providers = matrix.providers.filter((id) => filter.providers.size === 0 || filter.providers.has(id));
  const features = matrix.features.filter((feature) =>
    providers.some((provider) => statuses.has(statusOf(feature, provider))),
  );
  return {providers, features, statuses};
}

export function statusOf(feature: Feature, provider: string): Status {
  return feature.providers.get(provider)?.status ?? 'not_tested';
}

/** The number of cells with each status in these columns. */
export function countStatuses(features: Feature[], providers: string[]): Record<Status, number> {
  const counts: Record<Status, number> = {pass: 0, fail: 0, not_applicable: 0, not_tested: 0};
  for (const feature of features) {
    for (const provider of providers) {
      counts[statusOf(feature, provider)] += 1;
    }
  }
  return counts;
}

/** `chosen` with `item` added, or removed if it was there. */
export function toggle<T>(chosen: ReadonlySet<T>, item: T): ReadonlySet<T> {
  const next = new Set(chosen);
  if (!next.delete(item)) {
    next.add(item);
  }
  return next;
}
