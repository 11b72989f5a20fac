/** Work under way, by each of its keys. */
const underWay = new Map<string, Promise<unknown>>();

/** Settles when the last call has its place among those: they are made in the order of the calls. */
let queued: Promise<unknown> = Promise.resolve();

/**
 * Runs work after all earlier work that shares a key with it, in the order of the calls, however long finding out
 * the keys took.
 * @throws whatever `keys` or `work` are rejected with
 */
export async function inTurn<T>(
  keys: Promise<readonly string[]>,
  work: () => Promise<T>,
): Promise<T> {
  keys.catch(() => {}); // told below, when it is its turn
  const queueing = queued.then(async () => enqueue(await keys, work));
  queued = queueing.catch(() => {});
  return (await queueing).result;
}

function enqueue<T>(keys: readonly string[], work: () => Promise<T>): { result: Promise<T> } {
  const before = Promise.all(keys.map((key) => underWay.get(key)));
  const result = before.then(work);
  const settled = result
    .catch(() => {})
    .then(() => {
      for (const key of keys) if (underWay.get(key) === settled) underWay.delete(key);
    });
  for (const key of keys) underWay.set(key, settled);
  return { result };
}
