/** Keeps the memory of a buffer where it is; `undefined` where nothing can take it away any more. */
type Hold = () => Disposable | undefined;

const holds = new WeakMap<ArrayBufferLike, Hold>();

/** Takes note of a buffer that closing a container empties. */
export function noteEmptied(buffer: ArrayBufferLike, hold: Hold): void {
  holds.set(buffer, hold);
}

/**
 * Keeps the memory of arrays where it is until that is disposed of, also when a container is closed
 * before whose memory it is: for whoever has given its address to another thread. Any array may be of
 * a container, for all that anybody knows: its `data` goes wherever callers pass it.
 */
export function holdMemory(views: readonly ArrayBufferView[]): Disposable {
  // One that is empty has no memory, or has been emptied already.
  const held = views.map(({ buffer }) =>
    buffer.byteLength > 0 ? holds.get(buffer)?.() : undefined,
  );
  return {
    [Symbol.dispose]: () => {
      for (const hold of held) hold?.[Symbol.dispose]();
    },
  };
}
