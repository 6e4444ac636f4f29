import {visible} from './data/shape';

const PROVIDER_NAMES: Record<string, string> = {
  anthropic: 'Anthropic',
  bedrock_invoke: 'Bedrock (Invoke)',
  bedrock_converse: 'Bedrock (Converse)',
  vertex_ai: 'Vertex AI',
  azure: 'Azure (Foundry)',
  bedrock_mantle: 'Bedrock (Messages API)',
};

/** A provider's name for readers; for an unknown id, the id in words. */
export function providerName(id: string): string {
  return PROVIDER_NAMES[id] ?? inWords(id);
}

const TIER_SET_NAMES: Record<string, string> = {v0: 'Earlier models', current: 'Current models'};

/** The name of a set of tiers for readers. */
export function tierSetName(id: string): string {
  return TIER_SET_NAMES[id] ?? inWords(id);
}

/** `Haiku, Sonnet and Opus`. */
export function listed(names: string[]): string {
  return names.length < 2 ? names.join() : `${names.slice(0, -1).join(', ')} and ${names[names.length - 1]}`;
}

/** `rate_limit` → `Rate limit`. */
export function inWords(id: string): string {
  const words = id.replaceAll('_', ' ').trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A cell's place on the page: its `id`, and the fragment of a link to it. */
export function cellAnchor(feature: string, provider: string): string {
  return `${encodeURIComponent(feature)}::${encodeURIComponent(provider)}`;
}

/** Whether two anchors are equal: a forwarded link may have `%3A%3A` for `::`. */
export function isSameAnchor(one: string, other: string): boolean {
  return decoded(one) === decoded(other);
}

/** The cell that an anchor means, `tool_use::azure`; none if it means another part of the page. */
export function cellOfAnchor(anchor: string): string | undefined {
  const cell = decoded(anchor);
  return cell.includes('::') ? cell : undefined;
}

function decoded(anchor: string): string {
  try {
    return visible(decodeURIComponent(anchor));
  } catch {
    return visible(anchor);
  }
}
