import {useLayoutEffect, useRef, useState, type ReactElement, type RefObject} from 'react';

import {placeNear} from './place';
import styles from './Tooltip.module.css';
import {useTooltipAnchor} from './useTooltipAnchor';

/**
 * Shows the text that describes an element (`aria-describedby`) beside it while a pointer rests on it, while it
 * has the keyboard's focus, and after a tap. One for the whole matrix.
 */
export function Tooltip({root}: {root: RefObject<HTMLElement | null>}): ReactElement {
  const bubble = useRef<HTMLDivElement>(null);
  const text = useRef<HTMLDivElement>(null);
  const [position, setPosition] = useState({left: 0, top: 0});
  const {anchor, byTouch} = useTooltipAnchor(root, bubble);

  useLayoutEffect(() => {
    if (!anchor || !bubble.current || !text.current) {
      return undefined;
    }
    const place = () => bubble.current && setPosition(placeNear(anchor, bubble.current));
    text.current.replaceChildren(...copyOfDescription(anchor));
    place();
    document.addEventListener('scroll', place, {capture: true, passive: true});
    window.addEventListener('resize', place);
    return () => {
      document.removeEventListener('scroll', place, {capture: true});
      window.removeEventListener('resize', place);
    };
  }, [anchor]);

  return (
    <div className={styles.bubble} role="tooltip" ref={bubble} style={position} hidden={!anchor}>
      <div className={styles.text} ref={text} />
      {byTouch && anchor?.hasAttribute('data-cell') && <div className={styles.hint}>Tap again for details</div>}
    </div>
  );
}

function copyOfDescription(anchor: Element): Node[] {
  const description = document.getElementById(anchor.getAttribute('aria-describedby') ?? '');
  return Array.from(description?.childNodes ?? [], (node) => node.cloneNode(true));
}
