import type {ReactElement, ReactNode} from 'react';

import type {Details} from './data/details';
import type {Matrix} from './data/matrix';
import styles from './Filters.module.css';
import {countMarks, groupsOf, NO_FILTER, toggle, type Filter, type Shown} from './filter';
import {providerName} from './names';
import {GLYPHS, MARK_NAMES, MARKS} from './status';

type Props = {
  matrix: Matrix;
  details?: Details;
  shown: Shown;
  filter: Filter;
  onChange: (filter: Filter) => void;
  /** On a narrow screen, exactly one provider is shown. */
  oneProvider: boolean;
  /** Until scripts run, the statuses are a legend only. */
  disabled: boolean;
};

/** The legend, which is a filter too, and the choice of providers and of what the reader uses. */
export function Filters({matrix, details, shown, filter, onChange, oneProvider, disabled}: Props): ReactElement {
  const counts = countMarks(matrix.features, matrix.providers, details);
  const marks = MARKS.filter((mark) => mark !== 'unfaithful' || counts.unfaithful > 0);
  const categories = groupsOf(matrix.features, details).map(({category}) => category);
  const isFiltered = (oneProvider ? 0 : filter.providers.size) + filter.marks.size + filter.uses.size > 0;
  return (
    <div className={styles.filters}>
      <Chips label="Status" disabled={disabled}>
        {marks.map((mark) => (
          <Chip
            key={mark}
            pressed={filter.marks.has(mark)}
            onClick={() => onChange({...filter, marks: toggle(filter.marks, mark)})}
          >
            <span className={styles.glyph} data-status={mark === 'unfaithful' ? 'pass' : mark} aria-hidden="true">
              {GLYPHS[mark]}
            </span>
            {MARK_NAMES[mark]}{' '}
            <span className={styles.count}>{counts[mark]}</span>
          </Chip>
        ))}
      </Chips>
      <Chips label="Provider" disabled={disabled} onlyWithScripts>
        {matrix.providers.map((provider) => (
          <Chip
            key={provider}
            pressed={oneProvider ? shown.providers.includes(provider) : filter.providers.has(provider)}
            onClick={() =>
              onChange({...filter, providers: oneProvider ? new Set([provider]) : toggle(filter.providers, provider)})
            }
          >
            {providerName(provider)}
          </Chip>
        ))}
      </Chips>
      {categories.length > 1 && (
        <Chips label="I use" disabled={disabled} onlyWithScripts>
          {categories.map((category) => (
            <Chip
              key={category}
              pressed={filter.uses.has(category)}
              onClick={() => onChange({...filter, uses: toggle(filter.uses, category)})}
            >
              {category}
            </Chip>
          ))}
        </Chips>
      )}
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

export function Chips({label, disabled, onlyWithScripts, children}: ChipsProps): ReactElement {
  return (
    <fieldset className={styles.chips} disabled={disabled} data-only-with-scripts={onlyWithScripts}>
      <legend>{label}</legend>
      {children}
    </fieldset>
  );
}

type ChipProps = {pressed: boolean; onClick: () => void; children: ReactNode};

export function Chip({pressed, onClick, children}: ChipProps): ReactElement {
  return (
    <button type="button" className={styles.chip} aria-pressed={pressed} onClick={onClick}>
      {children}
    </button>
  );
}
