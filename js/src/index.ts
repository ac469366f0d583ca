/** Every class that the widget manager looks up by name, and the models' types. */

export * from './activation_explorer';
export * from './axis_range';
export * from './cache_summary';
export * from './catalog';
export * from './channel_series';
export * from './choice_link';
export * from './color_bar';
export * from './color_mapping';
export * from './contact_sheet';
export * from './frame_store';
export * from './layer_picker';
export * from './record_line';
export * from './selection';
export * from './tensor_image';
export * from './tensor_image_model';
export * from './version';
