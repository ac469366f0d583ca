/**
 * RecallLab: the box of controls, figure, points, and the explorer of a run that failed, which has a box of its own.
 *
 * It has no cursor: were it an explorer, it and the one in it would name the same sliders in turns, without end.
 */

import { unpack_models } from '@jupyter-widgets/base';
import { VBoxModel, VBoxView } from '@jupyter-widgets/controls';

import { recallLabDefaults } from './generated/traits';
import { injectStyle } from './style';

const LABEL = 'recall lab';

export class RecallLabModel extends VBoxModel {
  static override serializers = {
    ...VBoxModel.serializers,
    controls: { deserialize: unpack_models },
    curves: { deserialize: unpack_models },
  };

  override defaults() {
    return { ...super.defaults(), ...recallLabDefaults() };
  }
}

export class RecallLabView extends VBoxView {
  override render(): void {
    injectStyle(document);
    super.render();
    this.el.classList.add('memviz-explorer');
    this.el.setAttribute('role', 'group');
    this.el.setAttribute('aria-label', LABEL);
  }
}
