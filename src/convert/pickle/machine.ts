import { append, FILLINGS, type Fill, setItems } from './containers.ts';
import {
  buildState,
  callGlobal,
  describeKey,
  isListed,
  namedValue,
  persistent,
} from './globals.ts';
import { OBJECT_WORK } from './limits.ts';
import { isMadeByNew } from './made-by-new.ts';
import { HIGHEST_PROTOCOL, OP } from './opcodes.ts';
import { readOutside } from './outside.ts';
import { PickleFault, type PickleReader } from './reader.ts';
import { readMemoIndex, readScalar } from './scalars.ts';
import { PickleStack } from './stack.ts';
import type { Trace } from './trace.ts';
import {
  type Persistents,
  PyCall,
  PyDict,
  PyGlobal,
  PyList,
  PyNamed,
  PySet,
  type PyStorage,
  PyTuple,
  type Value,
} from './values.ts';

/**
 * The pickle machine over symbolic values. There is no way from here to anything that runs: a name is
 * looked up in a table of this package's own, and what is not there becomes a description of itself.
 */
export class PickleMachine {
  readonly #reader: PickleReader;
  readonly #trace: Trace;
  readonly #stack: PickleStack;
  readonly #persistents: Persistents | undefined;

  constructor(reader: PickleReader, trace: Trace, persistents: Persistents | undefined) {
    this.#persistents = persistents;
    this.#reader = reader;
    this.#trace = trace;
    this.#stack = new PickleStack(reader);
  }

  /** What persistent ids have named so far, by key: also where nothing is made of it, or something that keeps nothing. */
  get storages(): ReadonlyMap<string, PyStorage> {
    return this.#stack.storages;
  }

  /** Until so much work is done; the result after the last instruction. */
  run(work: number): Value | undefined {
    const reader = this.#reader;
    const least = reader.work - work;
    while (reader.work > least) {
      const opcode = reader.byte();
      this.#stack.spend(1);
      if (opcode === OP.STOP) return this.#stack.finish();
      const scalar = readScalar(opcode, reader);
      if (scalar === undefined) this.#execute(opcode);
      else this.#stack.push(scalar);
    }
    return undefined;
  }

  #execute(opcode: number): void {
    const reader = this.#reader;
    switch (opcode) {
      case OP.PROTO: {
        const protocol = reader.byte();
        if (protocol > HIGHEST_PROTOCOL) throw reader.fault(`protocol ${protocol}`, 'refused');
        return;
      }
      case OP.FRAME:
        reader.beginFrame();
        return;
      case OP.MARK:
        this.#stack.mark();
        return;
      case OP.POP:
        this.#stack.drop();
        return;
      case OP.POP_MARK:
        this.#stack.popMark();
        return;
      case OP.DUP:
        this.#stack.push(this.#stack.top);
        return;
      case OP.GET:
      case OP.BINGET:
      case OP.LONG_BINGET:
        this.#stack.push(this.#stack.recall(this.#memoIndex(opcode)));
        return;
      case OP.PUT:
      case OP.BINPUT:
      case OP.LONG_BINPUT:
        this.#remember(this.#memoIndex(opcode));
        return;
      case OP.MEMOIZE:
        this.#remember(this.#stack.memoSize);
        return;
      case OP.GLOBAL: {
        const module = reader.line();
        this.#pushGlobal(module, reader.line());
        return;
      }
      case OP.STACK_GLOBAL: {
        const name = this.#stack.pop();
        this.#pushGlobal(this.#stack.pop(), name);
        return;
      }
      case OP.PERSID:
        this.#pushPersistent(reader.line());
        return;
      case OP.BINPERSID:
        this.#pushPersistent(this.#stack.pop());
        return;
      case OP.BUILD: {
        const state = this.#stack.pop();
        this.#build(state);
        return;
      }
      default:
        if (!this.#executeCall(opcode) && !this.#executeContainer(opcode)) {
          const outside = readOutside(opcode, reader);
          if (outside !== undefined) this.#pushObject(outside);
        }
    }
  }

  /** Opcodes by which Python calls something. */
  #executeCall(opcode: number): boolean {
    switch (opcode) {
      case OP.REDUCE:
      case OP.NEWOBJ: {
        const args = this.#stack.pop();
        const callable = this.#stack.pop();
        this.#call(callable, args, opcode === OP.REDUCE || isMadeByNew(callable, args));
        return true;
      }
      case OP.NEWOBJ_EX: {
        const named = this.#stack.pop();
        const args = this.#stack.pop();
        const callable = this.#stack.pop();
        const made = isMadeByNew(callable, args, named);
        this.#call(callable, made ? args : new PyTuple([args, named]), made);
        return true;
      }
      case OP.INST: {
        const module = this.#reader.line();
        this.#pushGlobal(module, this.#reader.line());
        const callable = this.#stack.pop();
        this.#call(callable, new PyTuple(this.#stack.popMark()));
        return true;
      }
      case OP.OBJ: {
        const [callable, ...args] = this.#stack.popMark();
        if (callable === undefined) throw this.#reader.fault('an object without a class');
        this.#call(callable, new PyTuple(args));
        return true;
      }
      default:
        return false;
    }
  }

  #executeContainer(opcode: number): boolean {
    switch (opcode) {
      case OP.EMPTY_TUPLE:
        this.#pushObject(new PyTuple([]));
        return true;
      case OP.TUPLE:
        this.#pushObject(new PyTuple(this.#stack.popMark()));
        return true;
      case OP.TUPLE1:
      case OP.TUPLE2:
      case OP.TUPLE3: {
        const items = Array.from({ length: opcode - OP.TUPLE1 + 1 }, () => this.#stack.pop());
        this.#pushObject(new PyTuple(items.reverse()));
        return true;
      }
      case OP.EMPTY_LIST:
        this.#pushObject(new PyList());
        return true;
      case OP.APPEND:
        this.#fill([this.#stack.pop()], append);
        return true;
      case OP.EMPTY_DICT:
        this.#pushObject(new PyDict());
        return true;
      case OP.SETITEM: {
        const value = this.#stack.pop();
        this.#fill([this.#stack.pop(), value], setItems);
        return true;
      }
      case OP.EMPTY_SET:
        this.#pushObject(new PySet());
        return true;
      default:
        return this.#executeFilling(opcode);
    }
  }

  /** What is above the mark goes into what is below it, or into something new. */
  #executeFilling(opcode: number): boolean {
    const filling = FILLINGS.get(opcode);
    if (filling === undefined) return false;
    const items = this.#stack.popMark();
    if (filling.make) this.#pushObject(filling.make());
    this.#fill(items, filling.fill);
    return true;
  }

  #memoIndex(opcode: number): number {
    if (opcode === OP.BINGET || opcode === OP.BINPUT) return this.#reader.byte();
    if (opcode === OP.LONG_BINGET || opcode === OP.LONG_BINPUT) return this.#reader.uint32();
    return readMemoIndex(this.#reader);
  }

  #remember(index: number): void {
    this.#stack.spend(OBJECT_WORK);
    this.#stack.remember(index);
  }

  #pushGlobal(module: Value, name: Value): void {
    const at = this.#reader.at;
    if (typeof module !== 'string' || typeof name !== 'string') {
      throw this.#reader.fault('a name to import that is no text');
    }
    const global = new PyGlobal(module, name);
    const { globals, suspicions } = this.#trace;
    const listed = isListed(global);
    const id = `${module}\n${name}`;
    if (!globals.has(id)) {
      globals.set(id, { global, at, listed });
      if (!listed) suspicions.push({ at, what: global });
    }
    this.#pushObject(listed ? namedValue(global) : global);
  }

  /** `known` is false where the arguments are of a form that no entry of the list takes. */
  #call(callable: Value, args: Value, known = true): void {
    const call = new PyCall(callable, args);
    const result =
      known && callable instanceof PyGlobal && args instanceof PyTuple
        ? this.#made(() => callGlobal(callable, args.items, this.#stack), call)
        : undefined;
    this.#pushObject(result ?? this.#suspect(call));
  }

  #pushPersistent(id: Value): void {
    const unknown = new PyNamed('persistent id', describeKey(id));
    this.#pushObject(this.#made(() => persistent(id, this.#persistents, this.#stack), unknown));
  }

  /** What is not as PyTorch and numpy write it they may take nevertheless: something stands for it, to the end. */
  #made<T extends Value | boolean | undefined>(make: () => T, instead: T): T {
    try {
      return make();
    } catch (error) {
      if (!(error instanceof PickleFault) || error.kind !== 'malformed') throw error;
      this.#reader.defer(error);
      return instead;
    }
  }

  /** Python would call `__setstate__`, or set attributes. */
  #build(state: Value): void {
    const target = this.#stack.pop();
    this.#stack.push(target);
    if (this.#made(() => buildState(target, state, this.#stack), true)) return;
    // What is unknown already says so for itself; on anything else, attributes are out of place.
    if (target instanceof PyCall) return;
    this.#suspect(new PyCall(new PyGlobal('pickle', 'BUILD'), new PyTuple([target, state])));
  }

  #suspect(call: PyCall): PyCall {
    this.#trace.suspicions.push({ at: this.#reader.at, what: call });
    return call;
  }

  /** Python asks the target for its methods, so that items may go into other things too. */
  #fill(items: readonly Value[], fill: Fill): void {
    this.#stack.spend(items.length);
    const target = this.#stack.top;
    if (fill(target, items) || target instanceof PyCall) return;
    this.#reader.defer(this.#reader.fault('items for what cannot have them'));
  }

  #pushObject(value: Value): void {
    this.#stack.spend(OBJECT_WORK);
    this.#stack.push(value);
  }
}
