import { type Literal, LiteralTuple } from './literal.ts';

/** Kinds of types that never are objects, with the bytes of each where a type has no number. */
const LETTERS: ReadonlyMap<string, number | undefined> = new Map([
  ...[...'?bB'].map((kind) => [kind, 1] as const),
  ...[...'hHe'].map((kind) => [kind, 2] as const),
  ...[...'iIf'].map((kind) => [kind, 4] as const),
  ...[...'qQdFMm'].map((kind) => [kind, 8] as const),
  ...[...'D'].map((kind) => [kind, 16] as const),
  // These depend on the machine, or mean nothing without a number.
  ...[...'lLgGSUVcu'].map((kind) => [kind, undefined] as const),
]);

/** `<f4`, `|S3`, `<M8[ns]`. */
const TYPE = /^[<>|=]?(.)(\d*)(?:\[[^\]]*\])?$/s;

/** Those of a character in numpy's strings. */
const CHARACTER_BYTES = 4;

/**
 * Whether a dtype is known to have no objects in it. numpy takes many spellings of those that have: `object`, `i4,O`,
 * dicts and more; whatever is not known to be harmless is taken for one.
 */
export function isHarmless(descr: Literal | undefined): boolean {
  if (typeof descr === 'string') return LETTERS.has(TYPE.exec(descr)?.[1] ?? '');
  return Array.isArray(descr) && descr.every((field) => fieldIs(field, isHarmless));
}

/** Whether it is what numpy writes where there are objects: then their pickle says all that there is to say. */
export function isObjects(descr: Literal | undefined): boolean {
  if (typeof descr === 'string') return /^[<>|=]?O8?$/.test(descr) || isHarmless(descr);
  return Array.isArray(descr) && descr.every((field) => fieldIs(field, isObjects));
}

function fieldIs(field: Literal, passes: (descr: Literal | undefined) => boolean): boolean {
  return field instanceof LiteralTuple && passes(field.items[1]);
}

/** Bytes of an element of a dtype that is harmless; `undefined` where they are not known. */
export function itemBytes(descr: Literal | undefined): number | undefined {
  if (typeof descr === 'string') {
    const [, kind = '', digits = ''] = TYPE.exec(descr) ?? [];
    if (digits === '') return LETTERS.get(kind);
    return kind === 'U' ? CHARACTER_BYTES * Number(digits) : Number(digits);
  }
  if (!Array.isArray(descr)) return undefined;
  let sum = 0;
  for (const field of descr) {
    const [, type, shape] = field instanceof LiteralTuple ? field.items : [];
    const bytes = itemBytes(type);
    const count = shape === undefined ? 1 : countOf(shape);
    if (bytes === undefined || count === undefined) return undefined;
    sum += bytes * count;
  }
  return sum;
}

/** Elements of a field that is an array. */
function countOf(shape: Literal): number | undefined {
  const sizes = shape instanceof LiteralTuple ? shape.items : [shape];
  let count = 1;
  for (const size of sizes) {
    if (typeof size !== 'number') return undefined;
    count *= size;
  }
  return count;
}
