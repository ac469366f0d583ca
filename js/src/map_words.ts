/** The words for the maps of an attention: what they show, with their limits, and why one is missing. Text only. */

import type { Place } from './catalog';
import type { PictureChoiceState } from './generated/traits';
import { countText } from './number_text';

type MapKind = PictureChoiceState['kind'];

/** Why there is nothing to read towards a key in a map of one query. */
export const FROM_ONE_QUERY =
  'Attention flow is from one query: there is none to a key. Show where the query attends to.';
const FLOW_LIMITS = ': follows weights only; paths compete for edges, and the parts do not sum to 1';

export interface MapOf {
  head: number;
  other: number;
  heads: number;
  /** " of " for all of it: how many heads there are, how the map was made; '' for its name alone. */
  of: string;
  /** Label of the layer. */
  label: string;
  /** The selected query: 'query 4 “on”'. */
  query: string;
}

/** "head 3 of 12", "mean of 12 heads", "head 3 minus head 5". */
export function mapWords(kind: MapKind, { head, other, heads, of, label, query }: MapOf): string {
  const one = `head ${head}${of && of + countText(heads)}`;
  const all = `${countText(heads)} head${heads === 1 ? '' : 's'}`;
  switch (kind) {
    case 'weights':
      return one;
    case 'row':
      return one + (of && ', each row in shares of its largest weight');
    case 'log':
      return one + (of && ', colours by the logarithm of the weight');
    case 'mean':
      return `mean of ${all}`;
    case 'max':
      return `largest of ${all}`;
    case 'difference':
      return `head ${head} minus head ${other}`;
    case 'rollout':
      return `rollout to ${label}${of && ': residual 0.5, heads averaged; follows weights only'}`;
    case 'flow':
      return `attention flow to ${label} from ${query}${of && FLOW_LIMITS}`;
  }
}

/** Why a record of attention has no map of this kind. */
export function mapAbsence({ record, layer }: Place, kind: MapKind): string {
  if (!record.frame || !record.attention) {
    return record.message || 'nothing to show';
  }
  if (kind === 'difference') {
    return `${layer.label} has one head: a difference needs two`;
  }
  return `no ${kind === 'flow' ? 'attention flow' : 'rollout'} to ${layer.label}: it needs square attention of one length in every layer before it`;
}
