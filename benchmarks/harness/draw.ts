import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';
import type { Chart } from './chart.ts';
import type { Results } from './results.ts';

const OURS = /^safetensors-mmap|^prefetch/;
/** Of the package, and of everybody else; told apart in print and by the colour-blind too. */
const [OWN_COLOUR, OTHER_COLOUR] = ['#0b6e99', '#b9b9b9'];
const WIDTH = 460;

/** Draws every chart of the results into a folder; returns their paths. */
export async function drawCharts({ results }: Results, folder: string): Promise<string[]> {
  mkdirSync(folder, { recursive: true });
  const paths: string[] = [];
  for (const { charts, machine } of results) {
    for (const chart of charts) {
      const path = join(folder, `${chart.name}.svg`);
      const below = [
        `medians and spreads, rounds: ${roundsOf(chart)}; ${machine.system}, ${machine.cores} cores, Node ${machine.node}`,
        ...missingOf(chart),
      ];
      writeFileSync(path, `${await svgOf(chart, below)}\n`);
      paths.push(path);
    }
  }
  return paths;
}

/** "10", or "5 to 10". */
function roundsOf({ points }: Chart): string {
  const rounds = points.filter(({ missing }) => missing === undefined).map((point) => point.rounds);
  const [least, most] = [Math.min(...rounds), Math.max(...rounds)];
  return least === most ? String(most) : `${least} to ${most}`;
}

/** Who is not in the chart, line by line. */
function missingOf({ points }: Chart): string[] {
  const lines = points.flatMap(({ name, missing }) =>
    missing === undefined ? [] : `not measured: ${name}: ${missing}`,
  );
  return [...new Set(lines)];
}

export async function svgOf(chart: Chart, below: readonly string[]): Promise<string> {
  const { spec } = compile(specOf(chart, below));
  return new View(parse(spec), { renderer: 'none' }).toSVG();
}

function specOf(chart: Chart, below: readonly string[]): TopLevelSpec {
  // A bar of its own says that one is missing; other kinds have that below the title.
  const shown = chart.points.filter(
    ({ missing }) => missing === undefined || chart.kind === 'bars',
  );
  const values = shown.map((point, order) => ({ ...point, order, own: OURS.test(point.name) }));
  const base = {
    background: 'white',
    padding: 12,
    width: WIDTH,
    title: {
      text: chart.title,
      subtitle: [...below],
      anchor: 'start' as const,
      subtitleFontSize: 9,
    },
    data: { values },
    config: { font: 'sans-serif', view: { stroke: null } },
  };
  const marks = { bars, groups, lines }[chart.kind](chart);
  return { ...base, ...marks } as TopLevelSpec;
}

const COLOUR = {
  field: 'own',
  type: 'nominal' as const,
  scale: { domain: [true, false], range: [OWN_COLOUR, OTHER_COLOUR] },
  legend: null,
};

/** What Vega-Lite calls the marks of a chart, one function for each kind. */
function bars({ unit }: Chart): object {
  const axis = { labelLimit: 320, ticks: false, domain: false };
  const y = { field: 'name', type: 'nominal' as const, sort: null, title: null, axis };
  return {
    layer: [
      {
        mark: { type: 'bar', height: 14 },
        encoding: {
          y,
          x: { field: 'median', type: 'quantitative', title: unit },
          color: COLOUR,
        },
      },
      {
        mark: { type: 'rule' },
        encoding: {
          y,
          x: { field: 'min', type: 'quantitative' },
          x2: { field: 'max' },
        },
      },
      {
        mark: { type: 'text', align: 'left', dx: 4, fontSize: 10 },
        encoding: {
          y,
          x: { field: 'max', type: 'quantitative' },
          text: { field: 'median', format: unit === 'MB' ? ',.0f' : '.3~r' },
        },
      },
      {
        transform: [{ filter: 'isValid(datum.missing)' }],
        mark: { type: 'text', align: 'left', dx: 4, fontSize: 10, fontStyle: 'italic' },
        encoding: { y, x: { datum: 0, type: 'quantitative' }, text: { value: 'missing' } },
      },
    ],
  };
}

function groups({ unit, xTitle }: Chart): object {
  const x = { field: 'x', type: 'nominal' as const, sort: null, title: xTitle ?? null };
  const y = (field: string) => ({
    field,
    type: 'quantitative' as const,
    title: unit,
  });
  const xOffset = { field: 'name', type: 'nominal' as const, sort: null };
  return {
    layer: [
      {
        mark: { type: 'bar' },
        encoding: {
          x: { ...x, axis: { labelAngle: 0 } },
          xOffset,
          y: y('median'),
          color: {
            field: 'name',
            type: 'nominal',
            sort: null,
            scale: { range: [OWN_COLOUR, OTHER_COLOUR, '#7a7a7a', '#d9a441'] },
            title: null,
            legend: { orient: 'bottom', columns: 1, labelLimit: WIDTH },
          },
        },
      },
      { mark: { type: 'rule' }, encoding: { x, xOffset, y: y('min'), y2: { field: 'max' } } },
    ],
  };
}

function lines({ unit, xTitle }: Chart): object {
  const scale = { type: 'log' as const };
  const x = {
    field: 'x',
    type: 'quantitative',
    scale,
    title: xTitle,
    axis: { format: '.1~s', tickCount: 5 },
  };
  const y = (field: string) => ({
    field,
    type: 'quantitative',
    scale,
    title: unit,
    axis: { tickCount: 6 },
  });
  const color = {
    field: 'name',
    type: 'nominal',
    sort: null,
    title: null,
    scale: { range: ['#d1495b', OWN_COLOUR, '#66a182'] },
    legend: { orient: 'bottom', columns: 1, labelLimit: WIDTH },
  };
  return {
    height: 240,
    layer: [
      { mark: { type: 'line', point: true }, encoding: { x, y: y('median'), color } },
      { mark: { type: 'rule' }, encoding: { x, y: y('min'), y2: { field: 'max' }, color } },
    ],
  };
}
