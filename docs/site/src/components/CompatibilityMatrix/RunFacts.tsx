import type {ReactElement} from 'react';

import {modelsOf, type Details} from './data/details';
import type {Matrix} from './data/matrix';
import {toolName} from './data/versions';
import {Fact, Facts} from './Facts';
import {providerName, tierSetName} from './names';
import styles from './RunFacts.module.css';
import {setsOf} from './Tiers';

/** The gateway's settings in the run, and the exact models. */
export function RunFacts({matrix, details}: {matrix: Matrix; details: Details}): ReactElement {
  const {gateway, gatewayVersion, tiers} = details;
  return (
    <details className={styles.run}>
      <summary>Models and settings of this run</summary>
      <Facts>
        <Fact name="Gateway">
          {toolName(gateway)}
          {gatewayVersion && ` ${gatewayVersion}`}
        </Fact>
        <Fact name="Settings">
          <Settings details={details} />
        </Fact>
      </Facts>
      {tiers.length > 0 && (
        <p className={styles.note}>
          {namesProviderModels(details)
            ? 'These are the models of each tier: the provider’s own name, or else the name that Claude Code asked for.'
            : `Claude Code asked ${toolName(gateway)} for the models below. Its settings say which model of the provider each name stands for.`}
        </p>
      )}
      {setsOf(tiers).map((set) => (
        <section key={set ?? ''}>
          {set !== undefined && <p className={styles.set}>{tierSetName(set)}</p>}
          <Facts>
            {tiers
              .filter((tier) => tier.set === set)
              .map(({id, name}) => (
                <Fact key={id} name={name}>
                  <ModelsOfTier matrix={matrix} details={details} tier={id} />
                </Fact>
              ))}
          </Facts>
        </section>
      ))}
    </details>
  );
}

/** Where the settings are, and those that are a switch or a number. */
function Settings({details}: {details: Details}): ReactElement {
  return (
    <>
      <SettingsFile details={details} />
      {details.settings.size > 0 && (
        <ul className={styles.models}>
          {[...details.settings].map(([name, value]) => (
            <li key={name}>
              <code>
                {name}: {value}
              </code>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

function SettingsFile({details: {gateway, gatewayKind, configuration}}: {details: Details}): ReactElement {
  if (gatewayKind === 'attached') {
    return <>Its own: it ran before the tests began.</>;
  }
  const catalogue = <code>gateways/{gateway}.yaml</code>;
  const usual = gateway === 'litellm' ? <code>proxy_config.yaml</code> : catalogue;
  if (!configuration) {
    return <>The usual ones of the tests, in {usual}</>;
  }
  return (
    <>
      {usual} of the tests, with the configuration <code>{configuration}</code> of {catalogue}
    </>
  );
}

function namesProviderModels({cells}: Details): boolean {
  const tiers = [...cells.values()].flatMap((columns) => [...columns.values()].flat());
  return tiers.some(({providerModel}) => providerModel !== undefined);
}

type ModelsOfTierProps = {matrix: Matrix; details: Details; tier: string};

function ModelsOfTier({matrix, details, tier}: ModelsOfTierProps): ReactElement {
  const columns = matrix.providers.map((provider) => ({provider, models: modelsOf(details, tier, provider)}));
  const known = columns.filter(({models}) => models.length > 0);
  if (known.length === 0) {
    return <>Not known</>;
  }
  return (
    <ul className={styles.models}>
      {known.map(({provider, models}) => (
        <li key={provider}>
          {providerName(provider)}: <code>{models.join(', ')}</code>
        </li>
      ))}
    </ul>
  );
}
