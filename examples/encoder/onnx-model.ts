import protobuf from 'protobufjs';

type Field = readonly [type: string, id: number, rule?: 'repeated'];

/**
 * The part of ONNX's messages that the encoder needs, by the field numbers of onnx.proto3
 * (https://github.com/onnx/onnx).
 */
const { ModelProto } = protobuf.Root.fromJSON({
  nested: {
    ModelProto: message({
      irVersion: ['int64', 1],
      graph: ['GraphProto', 7],
      opsetImport: ['OperatorSetIdProto', 8, 'repeated'],
    }),
    OperatorSetIdProto: message({ domain: ['string', 1], version: ['int64', 2] }),
    GraphProto: message({
      node: ['NodeProto', 1, 'repeated'],
      name: ['string', 2],
      initializer: ['TensorProto', 5, 'repeated'],
      input: ['ValueInfoProto', 11, 'repeated'],
      output: ['ValueInfoProto', 12, 'repeated'],
    }),
    NodeProto: message({
      input: ['string', 1, 'repeated'],
      output: ['string', 2, 'repeated'],
      opType: ['string', 4],
      attribute: ['AttributeProto', 5, 'repeated'],
    }),
    AttributeProto: message({
      name: ['string', 1],
      f: ['float', 2],
      i: ['int64', 3],
      ints: ['int64', 8, 'repeated'],
      type: ['int32', 20],
    }),
    TensorProto: message({
      dims: ['int64', 1, 'repeated'],
      dataType: ['int32', 2],
      floatData: ['float', 4, 'repeated'],
      int64Data: ['int64', 7, 'repeated'],
      name: ['string', 8],
    }),
    ValueInfoProto: message({ name: ['string', 1], type: ['TypeProto', 2] }),
    TypeProto: message({ tensorType: ['TensorTypeProto', 1] }),
    TensorTypeProto: message({ elemType: ['int32', 1], shape: ['TensorShapeProto', 2] }),
    TensorShapeProto: message({ dim: ['DimensionProto', 1, 'repeated'] }),
    DimensionProto: message({ dimValue: ['int64', 1], dimParam: ['string', 2] }),
  },
}).nested as Record<'ModelProto', protobuf.Type>;

/** TensorProto.DataType. */
const ELEMENT_TYPES = { float: 1, int64: 7 };
/** AttributeProto.AttributeType. */
const ATTRIBUTE_TYPES = { float: 1, int: 2, ints: 7 };

/** Of LayerNormalization (17), Gelu (20) and axes as inputs (18), the last. */
const OPSET = 20;
/** The first that comes with that operator set. */
const IR_VERSION = 9;

/** A whole number, or one with a dot: ONNX tells them apart, JavaScript does not. */
export type Attribute = { float: number } | { int: number } | { ints: readonly number[] };

/** A dimension that differs from run to run has a name. */
export type Dimension = number | string;

/** A graph of ONNX in the making. */
export class GraphBuilder {
  readonly #nodes: object[] = [];
  readonly #inputs: object[] = [];
  readonly #outputs: object[] = [];
  readonly #constants = new Map<string, object>();

  input(name: string, type: keyof typeof ELEMENT_TYPES, shape: readonly Dimension[]): string {
    this.#inputs.push(valueInfo(name, type, shape));
    return name;
  }

  output(name: string, type: keyof typeof ELEMENT_TYPES, shape: readonly Dimension[]): void {
    this.#outputs.push(valueInfo(name, type, shape));
  }

  /** Adds a node. @returns The name of its one output. */
  node(
    opType: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    output = `${opType}_${this.#nodes.length}`,
  ): string {
    const attribute = Object.entries(attributes).map(([name, value]) =>
      attributeProto(name, value),
    );
    this.#nodes.push({ opType, input: inputs, output: [output], attribute });
    return output;
  }

  /** A list of whole numbers. */
  ints(...values: number[]): string {
    const tensor = { dims: [values.length], dataType: ELEMENT_TYPES.int64, int64Data: values };
    return this.#constant(`ints_${values.join('_')}`, tensor);
  }

  /** A single whole number, without a dimension. */
  int(value: number): string {
    return this.#constant(`int_${value}`, { dataType: ELEMENT_TYPES.int64, int64Data: [value] });
  }

  /** A single number, without a dimension. */
  float(value: number): string {
    return this.#constant(`float_${value}`, { dataType: ELEMENT_TYPES.float, floatData: [value] });
  }

  /** The model as a file. */
  finish(name: string): Uint8Array {
    const graph = {
      name,
      node: this.#nodes,
      initializer: Array.from(this.#constants.values()),
      input: this.#inputs,
      output: this.#outputs,
    };
    const opsetImport = [{ domain: '', version: OPSET }];
    const model = ModelProto.fromObject({ irVersion: IR_VERSION, opsetImport, graph });
    return ModelProto.encode(model).finish();
  }

  #constant(name: string, tensor: object): string {
    this.#constants.set(name, { name, ...tensor });
    return name;
  }
}

function valueInfo(
  name: string,
  type: keyof typeof ELEMENT_TYPES,
  shape: readonly Dimension[],
): object {
  const dim = shape.map((length) =>
    typeof length === 'string' ? { dimParam: length } : { dimValue: length },
  );
  return { name, type: { tensorType: { elemType: ELEMENT_TYPES[type], shape: { dim } } } };
}

function attributeProto(name: string, value: Attribute): object {
  if ('float' in value) return { name, type: ATTRIBUTE_TYPES.float, f: value.float };
  if ('int' in value) return { name, type: ATTRIBUTE_TYPES.int, i: value.int };
  return { name, type: ATTRIBUTE_TYPES.ints, ints: value.ints };
}

function message(fields: Readonly<Record<string, Field>>): protobuf.IType {
  return {
    fields: Object.fromEntries(
      Object.entries(fields).map(([name, [type, id, rule]]) => [
        name,
        { type, id, ...(rule && { rule }) },
      ]),
    ),
  };
}
