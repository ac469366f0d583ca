/**
 * ComparisonColors: one range of colours for the pictures of two recordings.
 *
 * In: the cursors in both, the mode. Out: the range of both together; with a `lead`, what that one says.
 */

import { unpack_models } from '@jupyter-widgets/base';

import type { Ends, Frame, Place } from './catalog';
import { ColorMappingModel } from './color_mapping';
import { aroundZero, between, bothSides, layerEnds, union, WEIGHTS } from './color_range';
import type { Range } from './color_range';
import { comparisonColorsDefaults } from './generated/traits';
import type { ColorMappingState, ComparisonColorsState } from './generated/traits';
import type { SelectionModel } from './selection';
import { shownBy } from './shown_picture';
import type { ModelOptions } from './state_model';

export class ComparisonColorsModel extends ColorMappingModel {
  static override serializers = {
    ...ColorMappingModel.serializers,
    other: { deserialize: unpack_models },
    lead: { deserialize: unpack_models },
  };

  override defaults() {
    return { ...super.defaults(), ...comparisonColorsDefaults() };
  }

  override initialize(attributes: Partial<ColorMappingState>, options: ModelOptions): void {
    super.initialize(attributes, options);
    if (this.lead) {
      this.listenTo(this.lead, 'recolor', () => this.trigger('recolor'));
    } else if (this.other) {
      this.listenTo(this.other, 'place change', this.followRange);
      this.listenTo(this.other.store, 'pages', this.followRange);
    }
  }

  private get other(): SelectionModel | null {
    return this.get('other') as ComparisonColorsState['other'];
  }

  private get lead(): ColorMappingModel | null {
    return this.get('lead') as ComparisonColorsState['lead'];
  }

  /** Range of both pictures that are on show; of `place` and `frame` only whether there are any is looked at. */
  override range(place: Place, frame: Frame | null): Range {
    if (this.lead) {
      return this.lead.range(place, frame);
    }
    const both = [this.selection, this.other].filter((cursor) => cursor !== null);
    switch (this.trait('mode')) {
      case 'fixed':
        return [this.trait('vmin'), this.trait('vmax')];
      case 'frame':
        return between(union(both.map(frameEnds)));
      case 'all':
        return between(union(both.map(({ store }) => ({ min: store.catalog.lo, max: store.catalog.hi }))));
      case 'symmetric':
        return aroundZero(union(both.map(endsOf)));
      case 'layer':
        return between(union(both.map(endsOf)));
      case 'auto':
        return place.layer.kind === 'attention' ? WEIGHTS : bothSides(union(both.map(endsOf)));
    }
  }

  override mapName(vmin: number, vmax: number): string {
    return this.lead ? this.lead.mapName(vmin, vmax) : super.mapName(vmin, vmax);
  }
}

/** Range of the selected layer over its steps and calls: from statistics, else of what has come of its record. */
function endsOf(selection: SelectionModel): Ends {
  const place = selection.place();
  const known = place?.record.stats && layerEnds(selection.store.catalog, place.layer);
  return place ? (known ?? selection.store.seenRange(place.index)) : { min: null, max: null };
}

/** Range of the frame on show; of the record while it is on the way. */
function frameEnds(selection: SelectionModel): Ends {
  const frame = shownBy(selection, null).frame();
  return frame ? { min: finite(frame.lo), max: finite(frame.hi) } : endsOf(selection);
}

function finite(number: number): number | null {
  return Number.isFinite(number) ? number : null;
}
