import {useCallback, useRef, useState, type FocusEvent, type KeyboardEvent} from 'react';

/** The parts of a table that the keyboard reaches: one by Tab, the others from there by the arrow keys. */
const STOP = '[data-stop]';

export type GridKeys = {
  /** The name of the part that Tab reaches; none until one had the focus. */
  current?: string;
  onFocus: (event: FocusEvent) => void;
  onKeyDown: (event: KeyboardEvent) => void;
};

/** Moves the focus in a table by arrow keys, Home and End; `nameOf` gives each part a name. */
export function useGridKeys(nameOf: (stop: Element) => string): GridKeys {
  const [current, setCurrent] = useState<string>();
  const column = useRef(0);

  const onFocus = useCallback(
    (event: FocusEvent) => {
      const stop = event.target.closest(STOP);
      if (stop) {
        setCurrent(nameOf(stop));
      }
    },
    [nameOf],
  );

  const onKeyDown = useCallback((event: KeyboardEvent) => {
    const stop = (event.target as Element).closest(STOP);
    const table = stop?.closest('table');
    if (!stop || !table || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) {
      return;
    }
    const rows = [...table.querySelectorAll('tr:not([data-folded])')]
      .map((row) => [...row.querySelectorAll<HTMLElement>(STOP)])
      .filter((stops) => stops.length > 0);
    const row = rows.find((stops) => stops.includes(stop as HTMLElement)) ?? [];
    // Across the line of a category, which is one part, the column stays.
    column.current = row.length > 1 ? row.indexOf(stop as HTMLElement) : column.current;
    const next = neighbour(rows, row, column.current, event.key);
    if (next) {
      event.preventDefault();
      next.focus();
      // A browser leaves a part that is in sight by a few pixels where it is.
      next.scrollIntoView({block: 'nearest', inline: 'nearest'});
    }
  }, []);

  return {current, onFocus, onKeyDown};
}

/** The part to which `key` leads from a row and column; none for another key and at the edge of the table. */
function neighbour(rows: HTMLElement[][], row: HTMLElement[], column: number, key: string): HTMLElement | undefined {
  const line = rows.indexOf(row);
  const inRow = (stops?: HTMLElement[]) => stops?.[Math.min(column, stops.length - 1)];
  switch (key) {
    case 'ArrowLeft':
      return row[column - 1];
    case 'ArrowRight':
      return row[column + 1];
    case 'ArrowUp':
      return inRow(rows[line - 1]);
    case 'ArrowDown':
      return inRow(rows[line + 1]);
    case 'Home':
      return row[0];
    case 'End':
      return row[row.length - 1];
    default:
      return undefined;
  }
}
