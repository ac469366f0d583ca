/** ActivationExplorer: an explorer that hides the line over time where the selected record has none. */

import { ExplorerModel, ExplorerView } from './explorer';
import { activationExplorerDefaults } from './generated/traits';

export class ActivationExplorerModel extends ExplorerModel {
  override defaults() {
    return { ...super.defaults(), ...activationExplorerDefaults() };
  }
}

export class ActivationExplorerView extends ExplorerView {
  protected override readonly label = 'activation explorer';

  protected override arrange(): void {
    const hasSeries = Boolean(this.selection?.place()?.record.series);
    this.el.querySelectorAll('.memviz-series').forEach((series) => series.classList.toggle('memviz-hidden', !hasSeries));
    super.arrange();
  }
}
