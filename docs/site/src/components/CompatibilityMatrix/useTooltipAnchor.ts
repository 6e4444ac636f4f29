import {useEffect, useState, type RefObject} from 'react';

type Anchor = {anchor: Element | null; byTouch: boolean};

const NONE: Anchor = {anchor: null, byTouch: false};

/** Milliseconds for the pointer to move from an anchor into its bubble. */
const LEAVE_DELAY = 120;

/** The element below `root` with an open tooltip, if there is one. */
export function useTooltipAnchor(
  root: RefObject<HTMLElement | null>,
  bubble: RefObject<HTMLElement | null>,
): Anchor {
  const [current, setCurrent] = useState<Anchor>(NONE);

  useEffect(() => {
    const area = root.current;
    if (!area) {
      return undefined;
    }
    const listening = new AbortController();
    const listen = (target: EventTarget, type: string, listener: (event: Event) => void) =>
      target.addEventListener(type, listener, {signal: listening.signal, capture: true});

    let shown: Element | null = null;
    let pointerType = 'mouse';
    let leaving: ReturnType<typeof setTimeout> | undefined;

    const show = (anchor: Element | null, byTouch = false) => {
      clearTimeout(leaving);
      shown = anchor;
      setCurrent(anchor ? {anchor, byTouch} : NONE);
    };
    const hide = () => show(null);

    listen(area, 'pointerover', (event) => {
      if ((event as PointerEvent).pointerType === 'touch') {
        return;
      }
      const anchor = anchorOf(event.target);
      if (anchor) {
        show(anchor);
      } else if (bubble.current?.contains(event.target as Node)) {
        clearTimeout(leaving);
      } else if (shown && !shown.matches(':focus-visible')) {
        clearTimeout(leaving);
        leaving = setTimeout(hide, LEAVE_DELAY);
      }
    });
    listen(area, 'pointerleave', (event) => {
      if (event.target === area && (event as PointerEvent).pointerType !== 'touch') {
        hide();
      }
    });
    listen(area, 'focusin', (event) => {
      const anchor = anchorOf(event.target);
      if (anchor?.matches(':focus-visible')) {
        show(anchor);
      }
    });
    listen(area, 'focusout', (event) => {
      if (anchorOf(event.target) === shown) {
        hide();
      }
    });
    listen(document, 'pointerdown', (event) => {
      pointerType = (event as PointerEvent).pointerType;
      if (shown && anchorOf(event.target) !== shown) {
        hide();
      }
    });
    listen(area, 'click', (event) => {
      const anchor = anchorOf(event.target);
      if (!anchor || pointerType !== 'touch') {
        return;
      }
      if (anchor === shown) {
        hide();
      } else {
        event.preventDefault();
        event.stopPropagation();
        show(anchor, true);
      }
    });
    listen(document, 'keydown', (event) => {
      if ((event as KeyboardEvent).key === 'Escape') {
        hide();
      }
    });
    return () => {
      clearTimeout(leaving);
      listening.abort();
    };
  }, [root, bubble]);

  return current;
}

function anchorOf(target: EventTarget | null): Element | null {
  return target instanceof Element ? target.closest('[data-tooltip]') : null;
}
