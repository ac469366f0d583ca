/** Every class that the widget manager looks up by name, and the models' types. */

export * from './activation_explorer';
export * from './attention_explorer';
export * from './attention_layer_link';
export * from './axis_range';
export * from './cache_summary';
export * from './catalog';
export * from './channel_series';
export * from './choice_link';
export * from './color_bar';
export * from './color_mapping';
export * from './contact_sheet';
export * from './frame_store';
export * from './head_grid';
export * from './image_overlay';
export * from './layer_picker';
export * from './picture_choice';
export * from './record_line';
export * from './selection';
export * from './tensor_image';
export * from './tensor_image_model';
export * from './token_lines';
export * from './token_view';
export * from './version';
