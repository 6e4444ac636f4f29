import {useId, useState, type CSSProperties, type ReactElement} from 'react';

import {Cell} from './Cell';
import {findingsOf, rowOf, tiersOf, type Details} from './data/details';
import type {Feature, Matrix} from './data/matrix';
import {cellMark, countMarks, groupsOf, toggle, type Group, type Shown} from './filter';
import {startOf} from './FoldedMessage';
import styles from './Grid.module.css';
import {useOverflow, type Overflow} from './hooks';
import {cellAnchor, providerName} from './names';
import {explain, GLYPHS, MARK_NAMES} from './status';
import {useGridKeys} from './useGridKeys';

/** Characters that a tooltip has room for; the rest of an explanation is in the panel and below the table. */
const MOST = 450;

type Props = {
  matrix: Matrix;
  shown: Shown;
  details?: Details;
  hydrated: boolean;
};

/** The table: features down, by category, and providers across. */
export function Grid({matrix, shown, details, hydrated}: Props): ReactElement {
  const captionId = useId();
  const [folded, setFolded] = useState<ReadonlySet<string>>(new Set());
  const keys = useGridKeys(nameOfStop);
  const [scroller, setScroller] = useState<HTMLElement | null>(null);
  const overflow = useOverflow(scroller);
  if (shown.features.length === 0) {
    return <p className={styles.empty}>No cell matches this filter.</p>;
  }
  const hasUnfaithful = countMarks(shown.features, shown.providers, details).unfaithful > 0;
  const groups = groupsOf(shown.features, details);
  const isFolded = ({category}: Group) => folded.has(category);
  const names = stopNames(groups, shown, isFolded);
  const stop = keys.current !== undefined && names.includes(keys.current) ? keys.current : names[0];
  const rows = (features: Feature[], folded?: boolean) =>
    features.map((feature) => (
      <FeatureRow
        key={feature.id}
        feature={feature}
        folded={folded}
        shown={shown}
        details={details}
        stop={hydrated ? (stop ?? '') : undefined}
      />
    ));
  return (
    <>
      <ScrollHint overflow={overflow} />
      <div className={styles.frame}>
        <div
          className={styles.scroller}
          ref={setScroller}
          data-single={shown.providers.length === 1 || undefined}
          role="region"
          aria-labelledby={captionId}
          tabIndex={hydrated ? undefined : 0}
        >
          <table
            className={styles.grid}
            style={{'--columns': shown.providers.length} as CSSProperties}
            onFocus={keys.onFocus}
            onKeyDown={keys.onKeyDown}
          >
            <caption id={captionId} className={styles.caption}>
              Claude Code features by provider
            </caption>
            <thead>
              <tr>
                <th scope="col" className={styles.corner}>
                  Feature
                </th>
                {shown.providers.map((provider) => (
                  <th scope="col" key={provider}>
                    <ColumnHead provider={provider} matrix={matrix} />
                  </th>
                ))}
              </tr>
            </thead>
            {groups.length === 0 && <tbody>{rows(shown.features)}</tbody>}
            {groups.map((group) => (
              <tbody key={group.category}>
                <GroupRow
                  group={group}
                  providers={shown.providers}
                  isFolded={isFolded(group)}
                  onFold={() => setFolded(toggle(folded, group.category))}
                  isStop={!hydrated || stop === groupName(group)}
                />
                {rows(group.features, isFolded(group))}
              </tbody>
            ))}
          </table>
        </div>
      </div>
      {hasUnfaithful && (
        <p className={styles.marks}>
          <span className={styles.glyph} data-status="pass">
            {GLYPHS.unfaithful}
          </span>{' '}
          Works, unfaithful: the feature works, but the gateway breaks its contract with Claude Code. It counts as passing.
          The findings below say what you lose.
        </p>
      )}
    </>
  );
}

/** Says that the table scrolls, before the reader has scrolled it. */
function ScrollHint({overflow: {aside, below}}: {overflow: Overflow}): ReactElement | null {
  if (!aside && !below) {
    return null;
  }
  const more = [aside && 'sideways for more providers', below && 'down for more features'].filter(Boolean).join(' and ');
  return <p className={styles.hint}>Scroll the table {more}.</p>;
}

/** The name of a part of the table that the keyboard reaches: the anchor of a cell, or the name of a group. */
function nameOfStop(stop: Element): string {
  return stop.getAttribute('data-group') ?? stop.closest('td')?.id ?? '';
}

function groupName({category}: Group): string {
  return `group ${category}`;
}

/** The names of all parts that the keyboard reaches, in order. */
function stopNames(groups: Group[], shown: Shown, isFolded: (group: Group) => boolean): string[] {
  const cells = (features: Feature[]) =>
    features.flatMap(({id}) => shown.providers.map((provider) => cellAnchor(id, provider)));
  return groups.length === 0
    ? cells(shown.features)
    : groups.flatMap((group) => [groupName(group), ...(isFolded(group) ? [] : cells(group.features))]);
}

type GroupRowProps = {
  group: Group;
  providers: string[];
  isFolded: boolean;
  onFold: () => void;
  isStop: boolean;
};

/** The head of a category: it folds the category's rows, and counts what passes. */
function GroupRow({group, providers, isFolded, onFold, isStop}: GroupRowProps): ReactElement {
  return (
    <tr className={styles.group}>
      <th scope="rowgroup">
        <button
          type="button"
          className={styles.fold}
          aria-expanded={!isFolded}
          onClick={onFold}
          data-stop
          data-group={groupName(group)}
          tabIndex={isStop ? undefined : -1}
        >
          {group.category} <span className={styles.size}>{group.features.length}</span>
        </button>
      </th>
      {providers.map((provider) => (
        <td key={provider}>{isFolded && <Tally features={group.features} provider={provider} />}</td>
      ))}
    </tr>
  );
}

type FeatureRowProps = {feature: Feature; folded?: boolean; shown: Shown; details?: Details; stop?: string};

/** A feature. A folded row is only in print. */
function FeatureRow({feature, folded, shown, details, stop}: FeatureRowProps): ReactElement {
  const {description} = rowOf(details, feature.id);
  return (
    <tr data-folded={folded || undefined}>
      <th scope="row">
        {feature.name}
        {description && <span className={styles.description}>{description}</span>}
      </th>
      {shown.providers.map((provider) => (
        <Cell
          key={provider}
          feature={feature}
          provider={provider}
          subdued={!shown.isWanted(feature, provider)}
          mark={cellMark(feature, provider, details)}
          isStop={stop === undefined ? undefined : stop === cellAnchor(feature.id, provider)}
          explanation={explanationOf(feature, provider, details)}
        />
      ))}
    </tr>
  );
}

/** What the tooltip of a cell says: of an unfaithful one what the user loses, else the start of its explanation. */
function explanationOf(feature: Feature, provider: string, details?: Details): string {
  const mark = cellMark(feature, provider, details);
  if (mark === 'unfaithful') {
    return `${MARK_NAMES[mark]}: ${losesOf(feature, provider, details)}`;
  }
  const cell = feature.providers.get(provider) ?? {status: 'not_tested'};
  return startOf(explain(cell, tiersOf(details, feature.id, provider)), MOST);
}

/** What a user loses in a cell, no sentence twice. */
function losesOf(feature: Feature, provider: string, details?: Details): string {
  const sentences = findingsOf(details, feature.id, provider).map(({loses}) => loses);
  return sentences.filter((sentence, index) => sentences.indexOf(sentence) === index).join(' ');
}

function ColumnHead({provider, matrix}: {provider: string; matrix: Matrix}): ReactElement {
  return (
    <>
      {providerName(provider)}
      <Tally features={matrix.features} provider={provider} />
    </>
  );
}

/** How many of the tested features pass on a provider. */
function Tally({features, provider}: {features: Feature[]; provider: string}): ReactElement {
  return <span className={styles.tally}>{tally(features, provider)}</span>;
}

function tally(features: Feature[], provider: string): string {
  const {pass, fail, not_applicable, not_tested} = countMarks(features, [provider]);
  const tested = pass + fail;
  if (tested === 0) {
    return not_tested === 0 && not_applicable > 0 ? 'not applicable' : 'not tested';
  }
  return `${pass} of ${tested} pass`;
}
