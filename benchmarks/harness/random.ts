/** Numbers below 65,536 in an order of chance that is the same in every run. */
export function seededRandom(): () => number {
  let seed = 1;
  return () => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return seed >>> 16;
  };
}
