import {createContext, useContext, type ReactElement, type ReactNode} from 'react';

import {byChange, showsOn, type Change, type Finding, type FindingStatus, type Level, type TierDetails} from './data/details';
import type {Matrix} from './data/matrix';
import {Fact, Facts} from './Facts';
import styles from './Findings.module.css';
import {Message} from './Message';
import {cellAnchor, inWords, providerName} from './names';
import {Section} from './Section';
import {GLYPHS} from './status';

const LEVELS: Record<Level, {mark: 'fail' | 'unfaithful'; colour: 'fail' | 'pass'; words: string}> = {
  feature: {mark: 'fail', colour: 'fail', words: 'Feature: a user of Claude Code notices it'},
  contract: {
    mark: 'unfaithful',
    colour: 'pass',
    words: 'Contract: the feature works, but the contract is broken',
  },
};

const STATUS_WORDS: Record<FindingStatus, string> = {
  new: 'New',
  outside_range: 'Not measured with this version, known of another',
  known: 'Known',
};

type FindingsProps = {
  matrix: Matrix;
  findings: Finding[];
  /** The version since which a finding shows, if it is known. */
  since: (finding: Finding) => string | undefined;
};

/** What the gateway breaks, once each, with the cells in which it shows. */
export function Findings({matrix, findings, since}: FindingsProps): ReactElement | null {
  if (findings.length === 0) {
    return null;
  }
  const changes = byChange(findings);
  return (
    <Section
      title={`Findings (${changes.length})`}
      intro="What the gateway breaks, and what you lose by it. Each change is listed once."
    >
      <FindingList changes={changes} since={since}>
        {(change) =>
          change.map((finding) => (
            <Fact key={finding.provider} name="Shows in">
              {providerName(finding.provider)}:{' '}
              <CellLinks
                matrix={matrix}
                features={finding.features}
                worksIn={finding.worksIn}
                tiersOf={finding.tiersOf}
                provider={finding.provider}
              />{' '}
              on {finding.tierNames.join(', ')}
            </Fact>
          ))
        }
      </FindingList>
    </Section>
  );
}

type CellFindingsProps = {
  matrix: Matrix;
  /** The cell's row. */
  feature: string;
  /** Those of the cell. */
  findings: Finding[];
  tiers: TierDetails[];
  since: (finding: Finding) => string | undefined;
};

/** What the gateway breaks in a cell. */
export function CellFindings({matrix, feature, findings, tiers, since}: CellFindingsProps): ReactElement | null {
  if (findings.length === 0) {
    return null;
  }
  const ofCell = (finding: Finding): Finding =>
    finding.worksIn.includes(feature) ? {...finding, level: 'contract'} : finding;
  return (
    <section>
      <h3>Findings</h3>
      <FindingList changes={findings.map((finding) => [ofCell(finding)] as const)} since={since}>
        {([finding]) => (
          <>
            <Fact name="Models">
              {tiers
                .filter((tier) => showsOn(finding, feature, tier))
                .map(({name}) => name)
                .join(', ')}
            </Fact>
            <Fact name="Also in">
              {finding.features.length > 1 && (
                <CellLinks
                  matrix={matrix}
                  features={finding.features.filter((other) => other !== feature)}
                  worksIn={finding.worksIn}
                  tiersOf={finding.tiersOf}
                  provider={finding.provider}
                />
              )}
            </Fact>
          </>
        )}
      </FindingList>
    </section>
  );
}

type FindingListProps = {
  changes: Change[];
  since: (finding: Finding) => string | undefined;
  children: (change: Change) => ReactNode;
};

/** What changed, each with the facts about its places that `children` gives. */
function FindingList({changes, since, children: places}: FindingListProps): ReactElement {
  return (
    <ul className={styles.findings}>
      {changes.map((change, index) => {
        const [finding] = change;
        return (
          <li key={index}>
            <p className={styles.loses}>
              <span className={styles.glyph} data-status={LEVELS[finding.level].colour} aria-hidden="true">
                {GLYPHS[LEVELS[finding.level].mark]}
              </span>
              <Message text={finding.loses} />
            </p>
            <Facts>
              <Fact name="What broke">
                <Message text={finding.summary} />
              </Fact>
              {places(change)}
              <Fact name="Since">{since(finding)}</Fact>
              <Fact name="Level">{LEVELS[finding.level].words}</Fact>
              <Fact name="Status">
                {STATUS_WORDS[finding.status]}
                {finding.known && (
                  <>
                    : <Message text={finding.known.reason} /> <Report link={finding.known.link} />
                    {finding.known.versions && ` (${finding.known.versions})`}
                  </>
                )}
              </Fact>
              <Fact name="Workaround">{finding.known?.workaround && <Message text={finding.known.workaround} />}</Fact>
            </Facts>
          </li>
        );
      })}
    </ul>
  );
}

/** The address of the tests, if the page names it. */
export const SuiteAddress = createContext<string | undefined>(undefined);

/** A web address, or the path of a page beside the tests, as a link. Without the address of the tests, the path is text. */
function Report({link}: {link: string}): ReactElement {
  const suite = useContext(SuiteAddress);
  if (/^https?:\/\//.test(link)) {
    return <a href={link}>{link.replace(/^https?:\/\//, '')}</a>;
  }
  const isPage = suite && /^docs\/findings\/[\w.-]+\.md$/.test(link);
  return isPage ? <a href={`${suite}/${link}`}>{link}</a> : <>{link}</>;
}

/** Longer lists of cells are folded. */
const MOST_LINKS = 6;

type CellLinksProps = {
  matrix: Matrix;
  features: string[];
  worksIn: string[];
  tiersOf: ReadonlyMap<string, string[]>;
  provider: string;
};

/** Features of a column by name, each a link to its cell. */
function CellLinks({matrix, features, worksIn, tiersOf, provider}: CellLinksProps): ReactElement {
  const list = (
    <ul className={styles.cells}>
      {features.map((id) => (
        <li key={id}>
          <a href={`#${cellAnchor(id, provider)}`} data-cell>
            {matrix.features.find((feature) => feature.id === id)?.name ?? inWords(id)}
          </a>
          {worksIn.includes(id) && ' (still works)'}
          {tiersOf.has(id) && ` (${tiersOf.get(id)?.join(', ')} only)`}
        </li>
      ))}
    </ul>
  );
  if (features.length <= MOST_LINKS) {
    return list;
  }
  return (
    <details className={styles.many}>
      <summary>{features.length} features</summary>
      {list}
    </details>
  );
}
