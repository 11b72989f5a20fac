import type { Dtype } from '../../dtypes.ts';

/**
 * What a pickle describes, as data. Nothing here is a Python object or has behaviour of one: a class
 * is its name, a call is what would be called and with what.
 */
export type Value =
  | null
  | boolean
  /** An int. */
  | number
  /** An int beyond 2^53 − 1. */
  | bigint
  | string
  | PyFloat
  | PyBytes
  | PyTuple
  | PyList
  | PyDict
  | PySet
  | PyGlobal
  | PyCall
  | PyStorage
  | PyTensor
  | PyArray
  | PyArrayType
  | PyNamed;

/** What is outside of a pickle, by the keys that it has there. */
export type Persistents = ReadonlyMap<string, Value>;

export class PyFloat {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

export class PyBytes {
  /** A part of the pickle. */
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

export class PyTuple {
  readonly items: readonly Value[];
  constructor(items: readonly Value[]) {
    this.items = items;
  }
}

export class PyList {
  readonly items: Value[] = [];
}

/** A dict, an OrderedDict or the like: keys and values in the order in which they were set. */
export class PyDict {
  readonly keys: Value[] = [];
  readonly values: Value[] = [];
}

export class PySet {
  readonly items: Value[] = [];
}

/** A name that Python would import. */
export class PyGlobal {
  readonly module: string;
  readonly name: string;
  constructor(module: string, name: string) {
    this.module = module;
    this.name = name;
  }

  get path(): string {
    return `${this.module}.${this.name}`;
  }
}

/** Something that Python would make by a call that is not on the list: never called, only described. */
export class PyCall {
  readonly callable: Value;
  readonly args: Value;
  /** What is called, or what made that, and so on: chains may have millions of calls. */
  readonly root: Value;
  constructor(callable: Value, args: Value) {
    this.callable = callable;
    this.args = args;
    this.root = callable instanceof PyCall ? callable.root : callable;
  }
}

/** How the elements of a tensor are stored, where that is known. */
export interface ElementType {
  /** As PyTorch or numpy calls it. */
  readonly name: string;
  /** Of an element in the storage. */
  readonly bytes: number;
  /** `undefined` where safetensors has none. */
  readonly dtype: Dtype | undefined;
}

/** Memory that tensors are views of; its bytes are in the file, not here. */
export class PyStorage {
  readonly key: string;
  /** `undefined` for an UntypedStorage, which counts bytes. */
  readonly type: ElementType | undefined;
  readonly elements: number;
  constructor(key: string, type: ElementType | undefined, elements: number) {
    this.key = key;
    this.type = type;
    this.elements = elements;
  }

  get byteLength(): number {
    return this.elements * (this.type?.bytes ?? 1);
  }
}

/** What a tensor is made of; checked against its storage when it is converted, not before. */
export interface TensorFields {
  readonly storage: PyStorage;
  readonly type: ElementType;
  /** In elements. */
  readonly offset: number;
  readonly shape: readonly number[];
  /** In elements. */
  readonly strides: readonly number[];
  /** Bits of PyTorch that stand for work not done yet. */
  readonly conjugate: boolean;
  readonly negative: boolean;
}

export class PyTensor {
  /** Why it cannot be converted instead, for kinds of tensors that safetensors does not have. */
  fields: TensorFields | string;
  constructor(fields: TensorFields | string) {
    this.fields = fields;
  }
}

/** A numpy dtype: kind and bytes as numpy writes them ("f4"), and the byte order. */
export class PyArrayType {
  readonly code: string;
  bigEndian = false;
  /** Whether it has named fields. */
  structured = false;
  /** Whether a state would come too late: numpy ignores some, and what others change depends on who has seen it. */
  settled: boolean;
  constructor(code: string, settled: boolean) {
    this.code = code;
    this.settled = settled;
  }
}

/** A numpy array or scalar, whose bytes are in the pickle; filled by BUILD. */
export class PyArray {
  contents: ArrayContents | undefined;
  /** Whether it holds objects of Python's, which have no bytes. */
  ofObjects = false;
}

export interface ArrayContents {
  readonly type: PyArrayType;
  readonly shape: readonly number[];
  readonly fortran: boolean;
  readonly bytes: Uint8Array;
}

/** A harmless value of PyTorch's that has no meaning here: a device, a dtype, a layout. */
export class PyNamed {
  readonly kind: string;
  readonly text: string;
  /** For a dtype. */
  readonly type: ElementType | undefined;
  constructor(kind: string, text: string, type?: ElementType) {
    this.kind = kind;
    this.text = text;
    this.type = type;
  }
}
