import { quoteName } from '../escape.ts';
import {
  PyArray,
  PyArrayType,
  PyBytes,
  PyCall,
  PyDict,
  PyFloat,
  PyGlobal,
  PyList,
  PyNamed,
  PySet,
  PyStorage,
  PyTensor,
  PyTuple,
  type Value,
} from './pickle/values.ts';

/** Parts of a value that are shown, however many it has, and how deep it goes. */
const SHOWN_PARTS = 40;
const SHOWN_ITEMS = 4;
const SHOWN_DEPTH = 4;

/**
 * A value in one line, as Python would write it, and bounded: what a call would be given is what
 * somebody wants to see of a bad file, and it may be as long as the file. Printable.
 */
export function describe(value: Value): string {
  const budget = { parts: SHOWN_PARTS };
  return describePart(value, SHOWN_DEPTH, budget);
}

/** Goes no deeper than {@link SHOWN_DEPTH}, and to no more parts than the budget has. */
function describePart(value: Value, depth: number, budget: { parts: number }): string {
  const inner = (items: readonly Value[]) => {
    if (depth === 0 && items.length > 0) return '…';
    const shown = items.slice(0, SHOWN_ITEMS).map((item) => describePart(item, depth - 1, budget));
    return [...shown, ...(items.length > SHOWN_ITEMS ? ['…'] : [])].join(', ');
  };
  budget.parts--;
  if (budget.parts < 0) return '…';
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number') return `${value}`;
  if (typeof value === 'bigint') return shortened(`0x${value.toString(16)}`);
  if (typeof value === 'string') return quoteName(value);
  if (value instanceof PyFloat) return `${value.value}`;
  if (value instanceof PyBytes)
    return `b${quoteName(Buffer.from(value.bytes.subarray(0, 256)).toString('latin1'))}`;
  if (value instanceof PyTuple) return `(${inner(value.items)})`;
  if (value instanceof PyList) return `[${inner(value.items)}]`;
  if (value instanceof PySet) return `{${inner(value.items)}}`;
  if (value instanceof PyDict) {
    const keys = value.keys.slice(0, SHOWN_ITEMS).map((key, i) => {
      const shown = depth === 0 ? '…' : describePart(value.values[i], depth - 1, budget);
      return `${describePart(key, 0, budget)}: ${shown}`;
    });
    return `{${[...keys, ...(value.keys.length > SHOWN_ITEMS ? ['…'] : [])].join(', ')}}`;
  }
  if (value instanceof PyGlobal) return globalText(value);
  if (value instanceof PyCall) {
    const callable = depth === 0 ? '…' : describePart(value.callable, depth - 1, budget);
    const { args } = value;
    if (args instanceof PyTuple) return `${callable}(${inner(args.items)})`;
    return `${callable}(*${depth === 0 ? '…' : describePart(args, depth - 1, budget)})`;
  }
  if (value instanceof PyTensor) return `<tensor ${typeText(value)}>`;
  if (value instanceof PyStorage) return `<storage ${quoteName(value.key)}>`;
  if (value instanceof PyArray) return `<numpy array${arrayText(value)}>`;
  if (value instanceof PyArrayType) return `<numpy dtype ${quoteName(value.code)}>`;
  if (value instanceof PyNamed) return `<${value.kind} ${quoteName(value.text)}>`;
  return '…';
}

/** A name that Python would import, printable. */
export function globalText({ module, name }: PyGlobal): string {
  return quoteName(`${module}.${name}`).slice(1, -1);
}

function typeText({ fields }: PyTensor): string {
  return typeof fields === 'string'
    ? fields
    : `${fields.type.name} of [${fields.shape.join(', ')}]`;
}

function arrayText({ contents, ofObjects }: PyArray): string {
  if (contents !== undefined) return ` of dtype ${quoteName(contents.type.code)}`;
  return ofObjects ? ' of objects' : '';
}

function shortened(text: string): string {
  return text.length <= 40 ? text : `${text.slice(0, 40)}…`;
}
