const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Up to this age a time is shown as `2 hours ago`, from then on as a date. */
const RECENT = 7 * DAY;

/** Differences between clocks below this are ignored. */
const CLOCK_SKEW = 5 * MINUTE;

const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

/** `21 November 2026, 09:04 UTC`: the same on a server and in every browser. */
export function utcTime(time: Date): string {
  const clock = time.toISOString().slice(11, 16);
  return `${time.getUTCDate()} ${MONTHS[time.getUTCMonth()]} ${time.getUTCFullYear()}, ${clock} UTC`;
}

/** `2 hours ago`, or the date in the reader's time zone if the time is long past or in the future. */
export function relativeTime(time: Date, now: Date): string {
  const age = now.getTime() - time.getTime();
  if (age < -CLOCK_SKEW || age >= RECENT) {
    return localDate(time);
  }
  if (age < MINUTE) {
    return 'just now';
  }
  const [size, unit]: [number, Intl.RelativeTimeFormatUnit] =
    age < HOUR ? [MINUTE, 'minute'] : age < DAY ? [HOUR, 'hour'] : [DAY, 'day'];
  return new Intl.RelativeTimeFormat('en').format(-Math.floor(age / size), unit);
}

/** `3 November 2026`, in the reader's time zone. */
export function localDate(time: Date): string {
  return new Intl.DateTimeFormat('en-GB', {dateStyle: 'long'}).format(time);
}

/** `Saturday, 21 November 2026 at 10:04:05 GMT+1`, in the reader's time zone. */
export function localTime(time: Date): string {
  return new Intl.DateTimeFormat('en-GB', {dateStyle: 'full', timeStyle: 'long'}).format(time);
}

/** `Europe/Berlin`: the reader's time zone. */
export function localTimeZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** Whole days from `time` to `now`; negative if `time` is in the future, unless clocks merely differ. */
export function ageInDays(time: Date, now: Date): number {
  const age = now.getTime() - time.getTime();
  return age < 0 && age >= -CLOCK_SKEW ? 0 : Math.floor(age / DAY);
}

/** `950 ms`, `12.3 s`, `2 min 5 s`. */
export function duration(milliseconds: number): string {
  if (milliseconds < SECOND) {
    return `${Math.round(milliseconds)} ms`;
  }
  if (milliseconds < MINUTE) {
    return `${(milliseconds / SECOND).toFixed(1)} s`;
  }
  const seconds = Math.round(milliseconds / SECOND);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
