/** The published files, taken into the page when the site is built; the matrix alone has to be there. */
declare const require: {
  context(folder: string, deep: boolean, names: RegExp): {keys(): string[]; (name: string): unknown};
};

// From `static/`, which every site has: before the first publication there is no `data` in it.
const files = require.context('@site/static', true, /^\.\/data\/compatibility-(matrix|details|history)\.json$/);

function published(name: string): unknown {
  return files.keys().includes(name) ? files(name) : undefined;
}

export const publishedMatrix = published('./data/compatibility-matrix.json');
export const publishedDetails = published('./data/compatibility-details.json');
export const publishedHistory = published('./data/compatibility-history.json');
