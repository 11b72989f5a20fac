import protobuf from 'protobufjs';

/**
 * The part of ONNX's messages that the models of the tests need, by the field numbers of onnx.proto3
 * (https://github.com/onnx/onnx, IR version 8).
 */
const { Model } = protobuf.Root.fromJSON({
  nested: {
    Model: message({
      irVersion: ['int64', 1],
      graph: ['Graph', 7],
      opsetImport: ['Opset', 8, 'repeated'],
    }),
    Opset: message({ domain: ['string', 1], version: ['int64', 2] }),
    Graph: message({
      node: ['Node', 1, 'repeated'],
      name: ['string', 2],
      initializer: ['TensorProto', 5, 'repeated'],
      input: ['Value', 11, 'repeated'],
      output: ['Value', 12, 'repeated'],
    }),
    Node: message({
      input: ['string', 1, 'repeated'],
      output: ['string', 2, 'repeated'],
      opType: ['string', 4],
      attribute: ['Attribute', 5, 'repeated'],
    }),
    Attribute: message({ name: ['string', 1], i: ['int64', 3], type: ['int32', 20] }),
    TensorProto: message({
      dims: ['int64', 1, 'repeated'],
      dataType: ['int32', 2],
      name: ['string', 8],
      rawData: ['bytes', 9],
      externalData: ['Pair', 13, 'repeated'],
      dataLocation: ['int32', 14],
    }),
    Pair: message({ key: ['string', 1], value: ['string', 2] }),
    Value: message({ name: ['string', 1], type: ['Type', 2] }),
    Type: message({ tensorType: ['TensorType', 1] }),
    TensorType: message({ elemType: ['int32', 1], shape: ['Shape', 2] }),
    Shape: message({ dim: ['Dim', 1, 'repeated'] }),
    Dim: message({ dimValue: ['int64', 1] }),
  },
}).nested as Record<'Model', protobuf.Type>;

type Field = readonly [type: string, id: number, rule?: 'repeated'];

function message(fields: Record<string, Field>): protobuf.IType {
  return {
    fields: Object.fromEntries(
      Object.entries(fields).map(([name, [type, id, rule]]) => [
        name,
        { type, id, ...(rule && { rule }) },
      ]),
    ),
  };
}

/** AttributeProto.AttributeType. */
const INTEGER = 2;

/** TensorProto.DataType, by the names of ONNX Runtime. */
export const ELEMENT_TYPES = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  bfloat16: 16,
} as const;

export interface OnnxValue {
  name: string;
  type: keyof typeof ELEMENT_TYPES;
  shape: readonly number[];
}

export interface OnnxNode {
  op: string;
  inputs: readonly string[];
  outputs: readonly string[];
  /** Attributes that are integers. */
  integers?: Readonly<Record<string, number>>;
}

/** Elements in the model itself, or in a file beside it. */
export type Initializer = OnnxValue &
  ({ bytes: Uint8Array } | { path: string; offset?: number; length?: number });

export interface OnnxGraph {
  nodes: readonly OnnxNode[];
  inputs: readonly OnnxValue[];
  outputs: readonly OnnxValue[];
  initializers?: readonly Initializer[];
}

/** A model as a file. */
export function onnxModel({ nodes, inputs, outputs, initializers = [] }: OnnxGraph): Uint8Array {
  return Model.encode(
    Model.fromObject({
      irVersion: 8,
      opsetImport: [{ domain: '', version: 17 }],
      graph: {
        name: 'test',
        node: nodes.map(({ op, inputs, outputs, integers = {} }) => ({
          opType: op,
          input: inputs,
          output: outputs,
          attribute: Object.entries(integers).map(([name, i]) => ({ name, i, type: INTEGER })),
        })),
        input: inputs.map(valueInfo),
        output: outputs.map(valueInfo),
        initializer: initializers.map(tensorProto),
      },
    }),
  ).finish();
}

function valueInfo({ name, type, shape }: OnnxValue): object {
  const dim = shape.map((dimValue) => ({ dimValue }));
  return { name, type: { tensorType: { elemType: ELEMENT_TYPES[type], shape: { dim } } } };
}

function tensorProto(initializer: Initializer): object {
  const { name, type, shape } = initializer;
  const head = { name, dataType: ELEMENT_TYPES[type], dims: shape };
  if ('bytes' in initializer) return { ...head, rawData: initializer.bytes };
  const { path, offset, length } = initializer;
  const externalData = Object.entries({ location: path, offset, length })
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ({ key, value: String(value) }));
  return { ...head, externalData, dataLocation: 1 };
}
