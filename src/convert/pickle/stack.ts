import { MOST_STACK } from './limits.ts';
import type { PickleFault, PickleReader } from './reader.ts';
import type { PyStorage, Value } from './values.ts';

/** Where a pickle has got to, for what makes values there: making them costs, and may be refused. */
export interface CallSite {
  /** What persistent ids have named so far, by key. */
  readonly storages: Map<string, PyStorage>;
  /** @throws {PickleFault} when all that one pickle may cost is used up */
  spend(work: number): void;
  fault(message: string): PickleFault;
}

/** The stack of the pickle machine with its marks and its memo, and what all that may cost. */
export class PickleStack implements CallSite {
  readonly storages = new Map<string, PyStorage>();
  readonly #reader: PickleReader;
  readonly #values: Value[] = [];
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, Value>();

  constructor(reader: PickleReader) {
    this.#reader = reader;
  }

  spend(work: number): void {
    this.#reader.work -= work;
    if (this.#reader.work < 0)
      throw this.#reader.fault('more work than any checkpoint takes', 'limit');
  }

  fault(message: string): PickleFault {
    return this.#reader.fault(message);
  }

  push(value: Value): void {
    if (this.#values.length >= MOST_STACK) throw this.#reader.fault('a stack too deep', 'limit');
    this.#values.push(value);
  }

  get top(): Value {
    const value = this.pop();
    this.#values.push(value);
    return value;
  }

  /** Not past a mark: CPython refuses that too. */
  pop(): Value {
    if (this.#values.length <= (this.#marks.at(-1) ?? 0)) {
      throw this.#reader.fault('a value is expected on the stack, and there is none', 'refused');
    }
    return this.#values.pop() as Value;
  }

  /** The POP of a pickle, which takes a mark off too. */
  drop(): void {
    if (this.#marks.at(-1) === this.#values.length) this.#marks.pop();
    else this.pop();
  }

  mark(): void {
    if (this.#marks.length >= MOST_STACK) throw this.#reader.fault('a stack too deep', 'limit');
    this.#marks.push(this.#values.length);
  }

  popMark(): Value[] {
    const mark = this.#marks.pop();
    if (mark === undefined)
      throw this.#reader.fault('a mark is expected, and there is none', 'refused');
    return this.#values.splice(mark);
  }

  /** The last value, when there is nothing else any more. */
  finish(): Value {
    const result = this.pop();
    if (this.#values.length > 0 || this.#marks.length > 0) {
      throw this.#reader.fault('values are left on the stack');
    }
    return result;
  }

  recall(index: number): Value {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.#reader.fault(`entry ${index} of the memo is empty`);
    return value;
  }

  remember(index: number): void {
    this.#memo.set(index, this.top);
  }

  get memoSize(): number {
    return this.#memo.size;
  }
}
