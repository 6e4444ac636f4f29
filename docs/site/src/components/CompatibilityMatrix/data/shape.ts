/** An error in a file, with its place: `features[2].providers.azure.error: expected a text that is not empty`. */
export class ShapeError extends Error {
  constructor(where: string, problem: string) {
    super(visible(`${where}: ${problem}`));
  }
}

export type Json = Record<string, unknown>;

export function readObject(value: unknown, where: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ShapeError(where, 'expected an object');
  }
  return value as Json;
}

export function readList<T>(value: unknown, where: string, readItem: (item: unknown, where: string) => T): T[] {
  if (!Array.isArray(value)) {
    throw new ShapeError(where, 'expected a list');
  }
  return value.map((item, index) => readItem(item, `${where}[${index}]`));
}

export function readText(value: unknown, where: string): string {
  if (typeof value !== 'string' || value.trim() === '') {
    throw new ShapeError(where, 'expected a text that is not empty');
  }
  return visible(value);
}

/** Control characters but tab and line break, and the marks that change the direction of a text. */
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** The text with each control character as its code: such a character could show a text as another one. */
export function visible(text: string): string {
  return text.replace(CONTROLS, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

export function readOptional<T>(
  value: unknown,
  where: string,
  read: (value: unknown, where: string) => T,
): T | undefined {
  return value === undefined || value === null ? undefined : read(value, where);
}

export function readOptionalText(value: unknown, where: string): string | undefined {
  return readOptional(value, where, readText);
}

export function readNumber(value: unknown, where: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
    throw new ShapeError(where, 'expected a number, 0 or more');
  }
  return value;
}

export function readTime(value: unknown, where: string): Date {
  const time = new Date(readText(value, where));
  if (Number.isNaN(time.getTime())) {
    throw new ShapeError(where, 'expected a time like `2026-01-31T12:00:00Z`');
  }
  return time;
}

export function readChoice<T extends string>(value: unknown, choices: readonly T[], where: string): T {
  const choice = choices.find((known) => known === value);
  if (choice === undefined) {
    throw new ShapeError(where, `expected one of ${choices.join(', ')}, found ${JSON.stringify(value)}`);
  }
  return choice;
}

export function readMap<T>(value: unknown, where: string, readItem: (item: unknown, where: string) => T): Map<string, T> {
  const entries = Object.entries(readObject(value, where));
  return new Map(entries.map(([key, item]) => [visible(key), readItem(item, `${where}.${key}`)]));
}
