// Takes the picture of the published page that the project's README shows: `docs/site/check picture`.

import {readFileSync} from 'node:fs';
import {join} from 'node:path';

import {openSite, PUBLISHED} from './site';

const PICTURE = join(__dirname, '../../../matrix.png');
const MATRIX = join(__dirname, '../../static/data/compatibility-matrix.json');

async function takePicture(): Promise<void> {
  const site = await openSite();
  const now = JSON.parse(readFileSync(MATRIX, 'utf8')).generated_at;
  await site.visit(
    PUBLISHED,
    async (page) => {
      const table = page.getByRole('region', {name: 'Claude Code features by provider'});
      const box = await table.boundingBox();
      await page.screenshot({path: PICTURE, clip: {...box!, height: 848}, fullPage: true});
    },
    {now, viewport: {width: 1700, height: 1600}},
  );
  await site.close();
}

void takePicture();
