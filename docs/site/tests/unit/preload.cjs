/** Lets Node import a style sheet: the name of a class is its name. */
require.extensions['.css'] = (module) => {
  module.exports = new Proxy({}, {get: (_, name) => (name === '__esModule' ? false : name)});
};
