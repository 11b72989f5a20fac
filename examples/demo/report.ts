import Table from 'cli-table3';
import colors from 'picocolors';
import type { SafetensorsFile } from 'safetensors-mmap';
import type { Comparison, Result } from './compare.ts';
import { driverNames } from './drivers.ts';
import type { Machine } from './machine.ts';

type Alignment = 'left' | 'right';

/** Of twelve layers with the same tensors, one is printed. */
const NAMES_SHOWN = /^(?!h\.)|^h\.0\./;
const VALUES_SHOWN = 5;
/** All parts of a table's frame, to have none. */
const FRAME = ['middle', 'left', 'right'].concat(
  ['top', 'mid', 'bottom'].flatMap((side) => [
    side,
    `${side}-left`,
    `${side}-mid`,
    `${side}-right`,
  ]),
  ['left-mid', 'right-mid'],
);
/** Up to this factor, a difference is noise. */
const ABOUT_EQUAL = 1.1;

export function heading(text: string): string {
  return `\n  ${colors.bold(text)}\n`;
}

/** The tensors in the order of their data, with those of one layer. */
export function tensorTable(file: SafetensorsFile): string {
  const rows: string[][] = [];
  const names = file.offsetKeys();
  const others = names.filter((name) => !NAMES_SHOWN.test(name));
  const layers = new Set(others.map((name) => name.split('.')[1])).size;
  for (const name of names) {
    if (name === others[0]) {
      const summary = [`h.1 … h.${layers}`, '', `${others.length} more, alike`, '', ''];
      rows.push(summary.map(colors.dim));
    }
    if (!NAMES_SHOWN.test(name)) continue;
    const { dtype, shape, size, byteLength } = file.getTensor(name);
    const megabytes = (byteLength / 1e6).toFixed(byteLength < 1e6 ? 3 : 1);
    rows.push([name, dtype, shape.join('×'), size.toLocaleString('en'), megabytes]);
  }
  const head = ['tensor', 'dtype', 'shape', 'elements', 'MB'];
  return table(head, rows, ['left', 'left', 'right', 'right', 'right']);
}

/** A few values, read in place. */
export function valueTable(file: SafetensorsFile): string {
  const show = (label: string, name: string, start = 0, digits = 5) => {
    const values = firstValues(file, name, start, VALUES_SHOWN);
    return [label, ...values.map((value) => value.toFixed(digits))];
  };
  const context = file.info('h.0.attn.bias').shape[3];
  const rows = [
    show('wte.weight[0]', 'wte.weight'),
    show('h.0.attn.c_attn.bias', 'h.0.attn.c_attn.bias'),
    show('h.0.ln_1.weight', 'h.0.ln_1.weight'),
    show('h.0.attn.bias[0, 0, 2]', 'h.0.attn.bias', 2 * context, 0),
  ];
  return table([], rows, ['left', ...Array<Alignment>(VALUES_SHOWN).fill('right')]);
}

function firstValues(file: SafetensorsFile, name: string, start: number, count: number): number[] {
  const { data } = file.getTensor(name);
  if (!(data instanceof Float32Array)) throw new Error(`${name} is not F32`);
  return Array.from(data.subarray(start, start + count));
}

export function comparisonTable(comparison: Comparison): string {
  const rows = comparisonRows(comparison).map(({ label, cells, ratio, verdict }) => {
    const colour = { better: colors.green, equal: colors.dim, worse: colors.yellow }[verdict];
    return [label, colors.cyan(cells[0]), cells[1], colour(ratio)];
  });
  return table(['', ...driverNames, ''], rows, ['left', 'right', 'right', 'right']);
}

/** For the README. */
export function comparisonMarkdown(comparison: Comparison, machine: Machine): string {
  const lines = comparisonRows(comparison).map(
    ({ label, cells, ratio }) => `| ${[label, ...cells, ratio].join(' | ')} |`,
  );
  return [
    `| | ${driverNames.join(' | ')} | |`,
    '| --- | ---: | ---: | ---: |',
    ...lines,
    '',
    `Medians of ${comparison.rounds} rounds, each in its own process, on a file of ` +
      `${comparison.tensors} tensors and ${megabytes(comparison.bytes)} that is in the page cache. ` +
      `${describeMachine(machine).join(', ')}.`,
  ].join('\n');
}

/** The software and the hardware, a line each. */
export function describeMachine({ node, system, cpu, cores, memory }: Machine): string[] {
  const gibibytes = Math.round(memory / 2 ** 30);
  return [`Node ${node}, ${system}`, `${cpu}, ${cores} cores, ${gibibytes} GiB of memory`];
}

interface Row {
  label: string;
  cells: string[];
  ratio: string;
  verdict: 'better' | 'equal' | 'worse';
}

function comparisonRows({ results, tensors, processesTogether }: Comparison): Row[] {
  const row = (
    label: string,
    measure: keyof Result,
    format: (value: number) => string,
    [better, worse]: [string, string],
  ): Row => {
    const values = driverNames.map((driver) => results[driver][measure]);
    const cells = values.map((value) => (value === null ? 'n/a' : format(value)));
    const [ours, theirs] = values;
    if (ours === null || theirs === null) return { label, cells, ratio: '', verdict: 'equal' };
    const factor = theirs / ours;
    if (factor > ABOUT_EQUAL) {
      return { label, cells, ratio: `${times(factor)} ${better}`, verdict: 'better' };
    }
    if (factor < 1 / ABOUT_EQUAL) {
      return { label, cells, ratio: `${times(1 / factor)} ${worse}`, verdict: 'worse' };
    }
    return { label, cells, ratio: 'about equal', verdict: 'equal' };
  };
  const time = (label: string, measure: keyof Result) =>
    row(label, measure, milliseconds, ['faster', 'slower']);
  const space = (label: string, measure: keyof Result) =>
    row(label, measure, megabytes, ['less', 'more']);
  return [
    time('open', 'openMs'),
    time('… and read from one tensor', 'firstTensorMs'),
    time(`… and view all ${tensors}`, 'allViewsMs'),
    time('… and touch every byte', 'everyByteMs'),
    space('peak RSS', 'peakRss'),
    space('PSS', 'pss'),
    space('memory of its own', 'anonymous'),
    space(`PSS, ${processesTogether} processes at once`, 'pssTogether'),
  ];
}

function milliseconds(value: number): string {
  const digits = value < 10 ? 2 : value < 100 ? 1 : 0;
  return `${value.toFixed(digits)} ms`;
}

function megabytes(value: number): string {
  return `${Math.round(value / 1e6).toLocaleString('en')} MB`;
}

function times(factor: number): string {
  return `${factor.toFixed(factor < 10 ? 1 : 0)}×`;
}

/** Aligned columns, indented; the widths are those that terminals show. */
function table(head: string[], rows: string[][], colAligns: Alignment[]): string {
  const drawn = new Table({
    head: head.map(colors.dim),
    colAligns,
    chars: { ...Object.fromEntries(FRAME.map((part) => [part, ''])), left: ' ' },
    // Its own colours do not know of NO_COLOR or of pipes; picocolors does.
    style: { head: [], border: [] },
  });
  drawn.push(...rows);
  // The last column ends in padding.
  return drawn.toString().replaceAll(/ +$/gm, '');
}
