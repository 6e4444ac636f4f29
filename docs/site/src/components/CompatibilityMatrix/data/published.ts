/** The published files, included when the site is built. Only the matrix is required. */
declare const require: {
  context(folder: string, deep: boolean, names: RegExp): {keys(): string[]; (name: string): unknown};
};

// The context is `static/`, which every site has. Before the first publication, `static/data` does not exist.
const files = require.context('@site/static', true, /^\.\/data\/(compatibility-(matrix|details|history)|version-history)\.json$/);

function published(name: string): unknown {
  return files.keys().includes(name) ? files(name) : undefined;
}

export const publishedMatrix = published('./data/compatibility-matrix.json');
export const publishedDetails = published('./data/compatibility-details.json');
export const publishedHistory = published('./data/compatibility-history.json');
export const publishedVersions = published('./data/version-history.json');
