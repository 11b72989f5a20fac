/**
 * Opens a file with node:fs and JSON.parse and prints what that cost, as JSON.
 *
 *   open FILE OPENS      the first open of this process, and further ones: parsed and checked
 *   parse FILE OPENS     the same, parsed only
 */
import { parseAndCheck, readHeader } from './checked-json.ts';
import { type Opened, timeOpens } from './results.ts';

function checked(path: string): Opened {
  const { tensors } = parseAndCheck(readHeader(path));
  return {
    lines: () => Array.from(tensors, ([name, { dtype, shape }]) => `${name} ${dtype} ${shape}`),
    close: () => {},
  };
}

type Parsed = Record<string, { dtype: string; shape: number[] }>;

function parsed(path: string): Opened {
  const header = JSON.parse(readHeader(path).text) as Parsed;
  return {
    lines: () =>
      Object.entries(header).map(([name, { dtype, shape }]) => `${name} ${dtype} ${shape}`),
    close: () => {},
  };
}

const [task, path, opens] = process.argv.slice(2);
const tasks: Record<string, () => Opened> = {
  open: () => checked(path),
  parse: () => parsed(path),
};
console.log(JSON.stringify(await timeOpens(Number(opens), tasks[task])));
