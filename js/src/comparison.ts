/** Comparison: an explorer of three pictures; its sliders are those of the first. */

import { ExplorerModel, ExplorerView } from './explorer';
import { comparisonDefaults } from './generated/traits';

export class ComparisonModel extends ExplorerModel {
  override defaults() {
    return { ...super.defaults(), ...comparisonDefaults() };
  }
}

export class ComparisonView extends ExplorerView {
  protected override readonly label = 'comparison of two recordings';
}
