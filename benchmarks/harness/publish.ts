import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ROOT } from './drivers.ts';
import { FIGURES } from './figures.ts';
import { allFigures, headlines, withoutResults } from './markdown.ts';
import type { Results } from './results.ts';

/** What is published, of all trials. */
export const PUBLISHED = join(ROOT, 'benchmarks', 'results.json');

const README = join(ROOT, 'README.md');
const PAGE = join(ROOT, 'docs', 'benchmarks.md');
const BEGIN = '<!-- figures: npm run bench -- --publish -->';
const END = '<!-- end of figures -->';

/** @throws unless results are those of full runs */
export function assertFull({ results }: Results): void {
  const quick = results.filter((result) => result.quick).map(({ trial }) => trial);
  if (quick.length === 0) return;
  throw new Error(`measured by --quick or --tiny, which are no figures: ${quick.join(', ')}`);
}

/** @throws unless results have all that is published */
export function assertComplete(results: Results): void {
  const missing = withoutResults(results);
  if (missing.length > 0) throw new Error(`nothing was measured for\n${missing.join('\n')}`);
}

/**
 * Puts all figures of results into docs/benchmarks.md, and the most telling ones, with the charts, into
 * the README; returns the paths of both.
 */
export function publish(results: Results, charts: string): string[] {
  // In the order of the tables, whenever each was measured.
  const trials = FIGURES.flatMap(([, figures]) => figures.map(({ trial }) => trial));
  const images = results.results
    .toSorted((a, b) => trials.indexOf(a.trial) - trials.indexOf(b.trial))
    .flatMap((result) => result.charts)
    .map(({ name, title }) => `![${title}](${relative(ROOT, join(charts, `${name}.svg`))})`)
    .join('\n');
  const put = (path: string, figures: string) => {
    writeFileSync(path, withFigures(readFileSync(path, 'utf8'), figures));
    return path;
  };
  return [
    put(PAGE, allFigures(results)),
    put(README, [headlines(results), images].filter(Boolean).join('\n\n')),
  ];
}

/** Markdown, with figures between its marks. */
export function withFigures(text: string, figures: string): string {
  const [before, rest] = text.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`no place for figures: ${BEGIN} … ${END}`);
  return `${before}${BEGIN}\n${figures}\n${END}${after}`;
}
