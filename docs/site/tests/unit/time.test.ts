import assert from 'node:assert/strict';
import {test} from 'node:test';

import {ageInDays, duration, relativeTime, utcTime} from '../../src/components/CompatibilityMatrix/time';

const now = new Date('2026-11-21T10:00:00Z');

function before(milliseconds: number): Date {
  return new Date(now.getTime() - milliseconds);
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

test('a recent time is shown as its age', () => {
  assert.equal(relativeTime(before(0), now), 'just now');
  assert.equal(relativeTime(before(59_999), now), 'just now');
  assert.equal(relativeTime(before(MINUTE), now), '1 minute ago');
  assert.equal(relativeTime(before(59 * MINUTE + 59_999), now), '59 minutes ago');
  assert.equal(relativeTime(before(HOUR), now), '1 hour ago');
  assert.equal(relativeTime(before(2 * HOUR), now), '2 hours ago');
  assert.equal(relativeTime(before(DAY - 1), now), '23 hours ago');
  assert.equal(relativeTime(before(DAY), now), '1 day ago');
  assert.equal(relativeTime(before(7 * DAY - 1), now), '6 days ago');
});

test('an older time is shown as its date', () => {
  assert.match(relativeTime(before(7 * DAY), now), /^1[34] November 2026$/);
  assert.match(relativeTime(before(400 * DAY), now), /2025$/);
});

test('a time to come is not called recent, unless clocks merely differ', () => {
  assert.equal(relativeTime(before(-4 * MINUTE), now), 'just now');
  assert.equal(ageInDays(before(-4 * MINUTE), now), 0);
  assert.match(relativeTime(before(-6 * MINUTE), now), /^2[12] November 2026$/);
  assert.equal(ageInDays(before(-6 * MINUTE), now), -1);
});

test('without scripts the time is in UTC and says so', () => {
  assert.equal(utcTime(new Date('2026-02-03T04:05:06Z')), '3 February 2026, 04:05 UTC');
});

test('age is in whole days', () => {
  assert.equal(ageInDays(before(DAY - 1), now), 0);
  assert.equal(ageInDays(before(7 * DAY), now), 7);
});

test('durations have the unit that suits them', () => {
  assert.equal(duration(950), '950 ms');
  assert.equal(duration(12_340), '12.3 s');
  assert.equal(duration(125_000), '2 min 5 s');
});
