/** Texts filled up to one length, in rows: what ONNX Runtime runs at once. */
export interface Batch {
  readonly ids: BigInt64Array;
  /** 1 where a token is, 0 where the row was filled up. */
  readonly mask: BigInt64Array;
  readonly rows: number;
  readonly columns: number;
}

/** Tokens run at once, filling included: until they are done, the process does nothing else. */
const MOST_TOKENS = 2048;

/** Texts in their order, as batches. */
export function* batchesOf(texts: readonly (readonly number[])[]): Generator<Batch> {
  let begin = 0;
  while (begin < texts.length) {
    let end = begin;
    let columns = 0;
    for (; end < texts.length; end++) {
      const wider = Math.max(columns, texts[end].length);
      if (end > begin && wider * (end - begin + 1) > MOST_TOKENS) break;
      columns = wider;
    }
    yield batchOf(texts.slice(begin, end), columns);
    begin = end;
  }
}

function batchOf(texts: readonly (readonly number[])[], columns: number): Batch {
  const ids = new BigInt64Array(texts.length * columns);
  const mask = new BigInt64Array(texts.length * columns);
  for (const [row, text] of texts.entries()) {
    const start = row * columns;
    for (const [column, id] of text.entries()) ids[start + column] = BigInt(id);
    mask.fill(1n, start, start + text.length);
  }
  return { ids, mask, rows: texts.length, columns };
}
