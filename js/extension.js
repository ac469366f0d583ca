// Loader for nbclassic and for VS Code, which reads this file as text: one require.config call, one mapping.
define(function () {
  'use strict';
  window['requirejs'].config({
    map: {
      '*': {
        'memviz-widgets': 'nbextensions/memviz-widgets/index',
      },
    },
  });
  return {
    load_ipython_extension: function () {},
  };
});
