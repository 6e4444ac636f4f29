import assert from 'node:assert/strict';
import {existsSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {test} from 'node:test';

import Ajv from 'ajv/dist/2020';
import addFormats from 'ajv-formats';

import {readMatrix} from '../../src/components/CompatibilityMatrix/data/matrix';
import {details, history, large, matrix, nineColumns, versions} from '../fixtures/samples';

/** The repository whose builder makes the files; in a docs repository that took over this site it is not there. */
const BUILDER = join(__dirname, '../../../..');

function readJson(name: string): unknown {
  return JSON.parse(readFileSync(join(BUILDER, name), 'utf8'));
}

function inBuilder(name: string, title: string, body: (file: unknown) => void): void {
  const skip = existsSync(join(BUILDER, name)) ? false : `there is no ${name} here`;
  test(title, {skip}, () => body(readJson(name)));
}

function conforms(schema: unknown, file: unknown): void {
  // The sizes of numbers that the builder's types have, which JSON Schema does not know.
  const sizes = {uint: true, uint16: true, uint64: true} as const;
  const ajv = addFormats(new Ajv({strict: false, allErrors: true, formats: sizes}));
  const validate = ajv.compile(schema as object);
  validate(file);
  assert.deepEqual(validate.errors ?? [], []);
}

inBuilder('sample_compatibility-matrix.json', 'the builder’s sample is read', (file) => {
  assert.equal(readMatrix(file).kind, 'read');
});

inBuilder('schema/compatibility-matrix.schema.json', 'the tests’ matrices conform to the builder’s schema', (schema) => {
  conforms(schema, matrix);
  conforms(schema, large);
  conforms(schema, nineColumns.matrix);
  conforms(schema, JSON.parse(readFileSync(join(__dirname, '../../static/data/compatibility-matrix.json'), 'utf8')));
});

inBuilder('schema/compatibility-details.schema.json', 'the tests’ details conform to the builder’s schema', (schema) => {
  conforms(schema, details);
  conforms(schema, nineColumns.details);
  conforms(schema, JSON.parse(readFileSync(join(__dirname, '../../static/data/compatibility-details.json'), 'utf8')));
});

inBuilder('schema/compatibility-history.schema.json', 'the tests’ history conforms to the builder’s schema', (schema) => {
  conforms(schema, history);
});

inBuilder('schema/version-history.schema.json', 'the tests’ versions conform to the builder’s schema', (schema) => {
  conforms(schema, versions);
  conforms(schema, JSON.parse(readFileSync(join(__dirname, '../../static/data/version-history.json'), 'utf8')));
});
