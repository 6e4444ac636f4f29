import {useEffect, useState, useSyncExternalStore} from 'react';

const never = () => () => undefined;

/** False on the server and until the page is hydrated, then true. */
export function useHydrated(): boolean {
  return useSyncExternalStore(
    never,
    () => true,
    () => false,
  );
}

/** The time, refreshed every half minute; unknown on the server. */
export function useNow(): Date | undefined {
  const [now, setNow] = useState<Date>();
  useEffect(() => {
    const refresh = () => setNow(new Date());
    refresh();
    const timer = setInterval(refresh, 30_000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** Whether an element has more than it shows, to the side and below; unknown on the server. */
export type Overflow = {aside: boolean; below: boolean};

export function useOverflow(element: HTMLElement | null): Overflow {
  const [overflow, setOverflow] = useState<Overflow>({aside: false, below: false});
  useEffect(() => {
    if (!element || typeof ResizeObserver === 'undefined') {
      return undefined;
    }
    const measure = () => {
      const aside = element.scrollWidth > element.clientWidth + 1;
      const below = element.scrollHeight > element.clientHeight + 1;
      setOverflow((last) => (last.aside === aside && last.below === below ? last : {aside, below}));
    };
    const observer = new ResizeObserver(measure);
    [element, ...element.children].forEach((part) => observer.observe(part));
    return () => observer.disconnect();
  }, [element]);
  return overflow;
}

/** The width below which a table of all providers does not fit, on a screen: in print all providers are there. */
const NARROW = 'screen and (max-width: 40rem)';

/** Whether the window is narrow; false on the server. */
export function useNarrow(): boolean {
  return useSyncExternalStore(
    (onChange) => {
      const query = window.matchMedia(NARROW);
      query.addEventListener('change', onChange);
      return () => query.removeEventListener('change', onChange);
    },
    () => window.matchMedia(NARROW).matches,
    () => false,
  );
}

/** Sets the query of the page's address, without a history entry. */
export function replaceQuery(query: string): void {
  const {pathname, hash} = window.location;
  window.history.replaceState(window.history.state, '', `${pathname}${query}${hash}`);
}

const HASH_REPLACED = 'compatibility-matrix:hash';

/** The fragment of the page's address without its `#`; empty on the server. */
export function useHash(): string {
  return useSyncExternalStore(
    subscribeToHash,
    () => window.location.hash.slice(1),
    () => '',
  );
}

/** Sets the fragment of the page's address, without scrolling and without a history entry. */
export function replaceHash(hash: string): void {
  const {pathname, search} = window.location;
  window.history.replaceState(window.history.state, '', `${pathname}${search}${hash && `#${hash}`}`);
  window.dispatchEvent(new Event(HASH_REPLACED));
}

function subscribeToHash(onChange: () => void): () => void {
  const events = ['hashchange', 'popstate', HASH_REPLACED];
  events.forEach((event) => window.addEventListener(event, onChange));
  return () => events.forEach((event) => window.removeEventListener(event, onChange));
}
