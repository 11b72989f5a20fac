const PAGE_WORDS = 1024;

export function wordsOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint32Array {
  return new Uint32Array(buffer, byteOffset, byteLength / 4);
}

/** The sum of one word of each page, and of the last: touch.py and peers/ do the same. */
export function touch(view: ArrayBufferView): number {
  const words = wordsOf(view);
  let sum = words[words.length - 1];
  for (let i = 0; i < words.length; i += PAGE_WORDS) sum = (sum + words[i]) | 0;
  return sum;
}
