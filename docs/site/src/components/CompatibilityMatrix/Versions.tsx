import {useMemo, useState, type ReactElement} from 'react';

import type {Details} from './data/details';
import type {Matrix} from './data/matrix';
import {coverage, rank, toolName, type Score, type VersionHistory} from './data/versions';
import {toggle} from './filter';
import {Chip, Chips} from './Filters';
import {inWords, providerName} from './names';
import {Section} from './Section';
import styles from './Versions.module.css';

type Props = {matrix: Matrix; details?: Details; history: VersionHistory; disabled: boolean};

const NONE: ReadonlySet<string> = new Set();

/** Which version to run: the best one for the features and providers that the reader ticks. */
export function Versions({matrix, details, history, disabled}: Props): ReactElement | null {
  const [features, setFeatures] = useState(NONE);
  const [providers, setProviders] = useState(NONE);
  const scores = useMemo(() => {
    const isIn = (chosen: ReadonlySet<string>, id: string) => chosen.size === 0 || chosen.has(id);
    return rank(history, (feature, provider) => isIn(features, feature) && isIn(providers, provider));
  }, [history, features, providers]);
  const [best] = scores;
  if (!best) {
    return null;
  }
  const named = (id: string) => matrix.features.find((feature) => feature.id === id)?.name ?? inWords(id);
  const tool = toolName(history.tool);
  const {beside, configuration} = history;
  return (
    <Section
      title={`Which version of ${tool}?`}
      intro={
        <>
          Tick what you use. Nothing ticked means everything that was run on these versions
          {beside && `, with ${toolName(beside.name)} ${beside.version}`}
          {configuration && `, with the configuration ${configuration}`}: {coverage(history, matrix, details)}.
        </>
      }
    >
      <Chips label="Feature" disabled={disabled} onlyWithScripts>
        {unique(history.cells.map(({feature}) => feature)).map((id) => (
          <Chip key={id} pressed={features.has(id)} onClick={() => setFeatures(toggle(features, id))}>
            {named(id)}
          </Chip>
        ))}
      </Chips>
      <Chips label="Provider" disabled={disabled} onlyWithScripts>
        {unique(history.cells.map(({provider}) => provider)).map((id) => (
          <Chip key={id} pressed={providers.has(id)} onClick={() => setProviders(toggle(providers, id))}>
            {providerName(id)}
          </Chip>
        ))}
      </Chips>
      <p className={styles.best} role="status">
        Best: {tool} {best.version}
        {best.claudeCode && ` with Claude Code ${best.claudeCode}`}. {inShort(best)}
      </p>
      <ol className={styles.versions}>
        {scores.slice(1).map((score) => (
          <li key={score.version}>
            <strong>{score.version}</strong>
            {score.claudeCode && ` with Claude Code ${score.claudeCode}`}: {inShort(score)}
          </li>
        ))}
        {history.versions
          .filter(({unusable}) => unusable)
          .map(({version, unusable}) => (
            <li key={version}>
              <strong>{version}</strong> could not be run: {unusable}
            </li>
          ))}
      </ol>
    </Section>
  );
}

function inShort({works, unfaithful, broken, unknown}: Score): string {
  const parts = [
    `${works} of ${works + broken + unknown} cells work`,
    unfaithful > 0 && `${unfaithful} of them unfaithful`,
    broken > 0 && `${broken} fail`,
    unknown > 0 && `${unknown} not known`,
  ];
  return `${parts.filter(Boolean).join(', ')}.`;
}

function unique(ids: string[]): string[] {
  return [...new Set(ids)];
}
