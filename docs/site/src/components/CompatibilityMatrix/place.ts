/** Pixels between a bubble and its anchor, and between a bubble and the edge of the window. */
const GAP = 8;

/** The place of `bubble` in the window: above `anchor`, or below it if there is no room above. */
export function placeNear(anchor: Element, bubble: Element): {left: number; top: number} {
  const target = anchor.getBoundingClientRect();
  const {width, height} = bubble.getBoundingClientRect();
  const above = target.top - height - GAP;
  const middle = target.left + target.width / 2 - width / 2;
  const rightmost = document.documentElement.clientWidth - width - GAP;
  return {
    left: Math.max(GAP, Math.min(middle, rightmost)),
    top: above >= GAP ? above : target.bottom + GAP,
  };
}
