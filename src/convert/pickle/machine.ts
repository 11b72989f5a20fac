import { buildState, callGlobal, isListed, namedValue, persistent } from './globals.ts';
import { OBJECT_WORK } from './limits.ts';
import { isMadeByNew } from './made-by-new.ts';
import { HIGHEST_PROTOCOL, OP } from './opcodes.ts';
import type { PickleReader } from './reader.ts';
import { readScalar } from './scalars.ts';
import { PickleStack } from './stack.ts';
import type { Trace } from './trace.ts';
import {
  type Persistents,
  PyCall,
  PyDict,
  PyGlobal,
  PyList,
  PySet,
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

  /** Up to so many instructions; the result after the last of them. */
  run(steps: number): Value | undefined {
    const reader = this.#reader;
    for (let step = 0; step < steps; step++) {
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
        if (protocol > HIGHEST_PROTOCOL) throw reader.fault(`protocol ${protocol}`);
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
        this.#pushObject(persistent(reader.line(), this.#persistents, this.#stack));
        return;
      case OP.BINPERSID:
        this.#pushObject(persistent(this.#stack.pop(), this.#persistents, this.#stack));
        return;
      case OP.BUILD: {
        const state = this.#stack.pop();
        this.#build(state);
        return;
      }
      default:
        if (!this.#executeCall(opcode) && !this.#executeContainer(opcode)) {
          throw reader.fault(
            `opcode 0x${opcode.toString(16).padStart(2, '0')}, which no checkpoint has`,
          );
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
      case OP.LIST: {
        const items = this.#stack.popMark();
        this.#pushObject(new PyList());
        this.#append(items);
        return true;
      }
      case OP.APPEND:
        this.#append([this.#stack.pop()]);
        return true;
      case OP.APPENDS:
        this.#append(this.#stack.popMark());
        return true;
      case OP.EMPTY_DICT:
        this.#pushObject(new PyDict());
        return true;
      case OP.DICT: {
        const items = this.#stack.popMark();
        this.#pushObject(new PyDict());
        this.#setItems(items);
        return true;
      }
      case OP.SETITEM: {
        const value = this.#stack.pop();
        this.#setItems([this.#stack.pop(), value]);
        return true;
      }
      case OP.SETITEMS:
        this.#setItems(this.#stack.popMark());
        return true;
      case OP.EMPTY_SET:
        this.#pushObject(new PySet());
        return true;
      case OP.FROZENSET: {
        const items = this.#stack.popMark();
        this.#pushObject(new PySet());
        this.#addItems(items);
        return true;
      }
      case OP.ADDITEMS:
        this.#addItems(this.#stack.popMark());
        return true;
      default:
        return false;
    }
  }

  #memoIndex(opcode: number): number {
    if (opcode === OP.BINGET || opcode === OP.BINPUT) return this.#reader.byte();
    if (opcode === OP.LONG_BINGET || opcode === OP.LONG_BINPUT) return this.#reader.uint32();
    const line = this.#reader.line();
    if (!/^\d{1,10}$/.test(line)) throw this.#reader.fault('an index of the memo that is none');
    return Number(line);
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
    const result =
      known && callable instanceof PyGlobal && args instanceof PyTuple
        ? callGlobal(callable, args.items, this.#stack)
        : undefined;
    this.#pushObject(result ?? this.#suspect(new PyCall(callable, args)));
  }

  /** Python would call `__setstate__`, or set attributes. */
  #build(state: Value): void {
    const target = this.#stack.pop();
    this.#stack.push(target);
    if (buildState(target, state, this.#stack)) return;
    // What is unknown already says so for itself; on anything else, attributes are out of place.
    if (target instanceof PyCall) return;
    this.#suspect(new PyCall(new PyGlobal('pickle', 'BUILD'), new PyTuple([target, state])));
  }

  #suspect(call: PyCall): PyCall {
    this.#trace.suspicions.push({ at: this.#reader.at, what: call });
    return call;
  }

  #append(items: readonly Value[]): void {
    const target = this.#stack.top;
    this.#stack.spend(items.length);
    if (target instanceof PyList) for (const item of items) target.items.push(item);
    else if (!(target instanceof PyCall)) throw this.#reader.fault('items for what is no list');
  }

  #addItems(items: readonly Value[]): void {
    const target = this.#stack.top;
    this.#stack.spend(items.length);
    if (target instanceof PySet) for (const item of items) target.items.push(item);
    else if (!(target instanceof PyCall)) throw this.#reader.fault('items for what is no set');
  }

  #setItems(items: readonly Value[]): void {
    const target = this.#stack.top;
    this.#stack.spend(2 * items.length);
    if (items.length % 2 !== 0) throw this.#reader.fault('a key without a value');
    if (target instanceof PyDict) {
      for (let i = 0; i < items.length; i += 2) {
        target.keys.push(items[i]);
        target.values.push(items[i + 1]);
      }
    } else if (!(target instanceof PyCall)) throw this.#reader.fault('entries for what is no dict');
  }

  #pushObject(value: Value): void {
    this.#stack.spend(OBJECT_WORK);
    this.#stack.push(value);
  }
}
