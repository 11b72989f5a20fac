import { type DtypeTable, decoded, smallFloats, view } from './conversion.ts';
import type { Elements } from './elements.ts';

/**
 * What ONNX Runtime takes from JavaScript. onnxruntime-node computes over a view; onnxruntime-web copies what it is fed
 * into its WebAssembly memory, at each run.
 */
export const dtypes: DtypeTable = Object.freeze({
  F32: view('float32'),
  F64: view('float64'),
  F16: view('float16'),
  I64: view('int64'),
  I32: view('int32'),
  I16: view('int16'),
  I8: view('int8'),
  U64: view('uint64'),
  U32: view('uint32'),
  U16: view('uint16'),
  U8: view('uint8'),
  BOOL: view('bool'),
  ...smallFloats(decoded('float32')),
});

/**
 * Has ONNX Runtime's tensor keep the elements that it was made of, which its `data` gives. Of the bits of F16 it
 * makes a Float16Array, where there is one (Node ≥ 24). onnxruntime-node takes that for one of no bytes
 * (https://github.com/microsoft/onnxruntime/pull/32323); Transformers.js, which knows, hands it the bits instead,
 * but from the first byte of the ArrayBuffer, which is that of the file here.
 */
export function keepElements(tensor: object, elements: Elements): void {
  Object.assign(tensor, { cpuData: elements });
}
