import type {ReactElement, ReactNode} from 'react';

import {STATUSES, type Matrix} from './data/matrix';
import styles from './Filters.module.css';
import {countStatuses, NO_FILTER, toggle, type Filter, type Shown} from './filter';
import {providerName} from './names';
import {GLYPHS, STATUS_NAMES} from './status';

type Props = {
  matrix: Matrix;
  shown: Shown;
  filter: Filter;
  onChange: (filter: Filter) => void;
  /** Until scripts run, the statuses are a legend only. */
  disabled: boolean;
};

/** The legend, which is a filter too, and the choice of providers. */
export function Filters({matrix, shown, filter, onChange, disabled}: Props): ReactElement {
  const counts = countStatuses(matrix.features, matrix.providers);
  const isFiltered = filter.providers.size + filter.statuses.size > 0;
  return (
    <div className={styles.filters}>
      <Chips label="Status" disabled={disabled}>
        {STATUSES.map((status) => (
          <Chip
            key={status}
            pressed={filter.statuses.has(status)}
            onClick={() => onChange({...filter, statuses: toggle(filter.statuses, status)})}
          >
            <span className={styles.glyph} data-status={status} aria-hidden="true">
              {GLYPHS[status]}
            </span>
            {STATUS_NAMES[status]}{' '}
            <span className={styles.count}>{counts[status]}</span>
          </Chip>
        ))}
      </Chips>
      <Chips label="Provider" disabled={disabled} onlyWithScripts>
        {matrix.providers.map((provider) => (
          <Chip
            key={provider}
            pressed={filter.providers.has(provider)}
            onClick={() => onChange({...filter, providers: toggle(filter.providers, provider)})}
          >
            {providerName(provider)}
          </Chip>
        ))}
      </Chips>
      <p className={styles.summary} role="status">
        {isFiltered && (
          <>
            {shown.features.length} of {matrix.features.length} features on {shown.providers.length} of{' '}
            {matrix.providers.length} providers
          </>
        )}
      </p>
      {isFiltered && (
        <button type="button" className={styles.clear} onClick={() => onChange(NO_FILTER)}>
          Show everything
        </button>
      )}
    </div>
  );
}

type ChipsProps = {label: string; disabled: boolean; onlyWithScripts?: boolean; children: ReactNode};

function Chips({label, disabled, onlyWithScripts, children}: ChipsProps): ReactElement {
  return (
    <fieldset className={styles.chips} disabled={disabled} data-only-with-scripts={onlyWithScripts}>
      <legend>{label}</legend>
      {children}
    </fieldset>
  );
}

type ChipProps = {pressed: boolean; onClick: () => void; children: ReactNode};

function Chip({pressed, onClick, children}: ChipProps): ReactElement {
  return (
    <button type="button" className={styles.chip} aria-pressed={pressed} onClick={onClick}>
      {children}
    </button>
  );
}
