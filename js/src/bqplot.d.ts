/**
 * The part of bqplot 0.13's front end (npm module 0.6) that we build on, written by hand.
 *
 * The npm package is no dependency: at run time JupyterLab or require.js hands us the bqplot that Python installed.
 * This is the only file where `any` is allowed, for d3 selections and style dictionaries that we only pass on.
 */
declare module 'bqplot' {
  import type { ISerializers, WidgetModel as BaseModel, WidgetView as BaseView } from '@jupyter-widgets/base';
  import { WidgetModel, WidgetView } from '@jupyter-widgets/base';

  export class ScaleModel extends WidgetModel {
    domain: number[];
    computeAndSetDomain(values: ArrayLike<number> | ArrayLike<number>[], owner: string): void;
    delDomain(values: never[], owner: string): void;
  }

  export interface ScaleView extends BaseView {
    readonly model: ScaleModel;
    scale: ((value: number) => number) & { invert(pixel: number): number; domain(): number[]; range(): number[] };
    setRange(range: [number, number]): void;
  }

  export class MarkModel extends WidgetModel {
    static serializers: ISerializers;
    dirty: boolean;
    mark_data: any;
    getScales(): Record<string, ScaleModel>;
    update_data(): void;
    update_domains(): void;
    update_scales(): void;
  }

  /** The parts of a rendered Figure that a mark may use. Plot area sizes in CSS pixels. */
  export interface Figure extends BaseView {
    readonly plotareaWidth: number;
    readonly plotareaHeight: number;
    readonly width: number;
    readonly height: number;
    readonly margin: { top: number; right: number; bottom: number; left: number };
    readonly autoLayout: boolean;
    readonly offsetX: number;
    readonly offsetY: number;
    readonly svg: { node(): SVGElement };
    readonly webGLCanvas: HTMLCanvasElement;
    readonly needsWebGLContext: boolean;
    readonly renderHooks: Record<string, () => void>;
    readonly relayoutHooks: Record<string, () => void>;
    padded_range(dimension: string, scale: BaseModel): [number, number];
    /** Measures the figure again, in the next animation frame. */
    /** Whether the next relayout is done although the size is the same. */
    should_relayout: boolean;
    relayout(): void;
  }

  export abstract class Mark extends WidgetView {
    model: MarkModel;
    parent: Figure;
    uuid: string;
    scales: Record<string, ScaleView>;
    d3el: any;
    tooltip_div: any;
    event_listeners: Record<string, unknown>;
    display_el_classes: string[];
    render(): Promise<void>;
    create_listeners(): void;
    set_positional_scales(): void;
    initialize_additional_scales(): void;
    update_visibility(model: WidgetModel, visible: boolean): void;
    abstract draw(animate?: boolean): void;
    abstract set_ranges(): void;
    abstract relayout(): void;
    abstract compute_view_padding(): void;
    abstract clear_style(style: any, indices?: number[], elements?: any): void;
    abstract set_default_style(indices: number[], elements?: any): void;
    abstract set_style_on_elements(style: any, indices: number[], elements?: any): void;
  }
}
