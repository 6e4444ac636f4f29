import type {ReactElement} from 'react';

import palette from './palette.module.css';

/** A text of the test suite; text in backticks is shown as code. */
export function Message({text}: {text: string}): ReactElement {
  const parts = text.split(/(`[^`\n]+`)/);
  return (
    <span className={palette.message}>
      {parts.map((part, index) => (index % 2 === 1 ? <code key={index}>{part.slice(1, -1)}</code> : part))}
    </span>
  );
}
