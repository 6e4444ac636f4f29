// Takes the picture of the published page that the project's README shows: `docs/site/check picture`.

import {readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';

import {openSite, PUBLISHED} from './site';

const PICTURE = fileURLToPath(new URL('../../../matrix.png', import.meta.url));
const MATRIX = new URL('../../static/data/compatibility-matrix.json', import.meta.url);

const site = await openSite();
const now = JSON.parse(readFileSync(MATRIX, 'utf8')).generated_at;
await site.visit(
  PUBLISHED,
  async (page) => {
    const table = page.getByRole('region', {name: 'Claude Code features by provider'});
    await table.screenshot({path: PICTURE});
  },
  {now, viewport: {width: 1280, height: 1600}},
);
await site.close();
