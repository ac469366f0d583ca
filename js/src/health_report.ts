/** HealthReport: an explorer that holds the table of findings. */

import { unpack_models } from '@jupyter-widgets/base';

import { ExplorerModel, ExplorerView } from './explorer';
import { healthReportDefaults } from './generated/traits';

export class HealthReportModel extends ExplorerModel {
  static override serializers = { ...ExplorerModel.serializers, table: { deserialize: unpack_models } };

  override defaults() {
    return { ...super.defaults(), ...healthReportDefaults() };
  }
}

export class HealthReportView extends ExplorerView {
  protected override readonly label = 'health report';
}
