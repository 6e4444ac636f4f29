/** The published files, taken into the page when the site is built; the matrix alone has to be there. */
declare const require: {
  context(folder: string, deep: boolean, names: RegExp): {keys(): string[]; (name: string): unknown};
};

const files = require.context('@site/static/data', false, /^\.\/compatibility-(matrix|details|history)\.json$/);

function published(name: string): unknown {
  return files.keys().includes(name) ? files(name) : undefined;
}

export const publishedMatrix = published('./compatibility-matrix.json');
export const publishedDetails = published('./compatibility-details.json');
export const publishedHistory = published('./compatibility-history.json');
