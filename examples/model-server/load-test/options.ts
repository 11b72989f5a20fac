import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { SIZES } from '../sizes.ts';

export interface LoadTestOptions {
  /** Of each phase. */
  readonly seconds: number;
  readonly workers: number;
  readonly rounds: number;
  readonly size: string;
  readonly json: boolean;
  /** Whether it measures, too, where other programs take its CPUs. */
  readonly busy: boolean;
}

/** @throws {Error} that says what is wrong with the arguments */
export function parseOptions(args: readonly string[]): LoadTestOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string', default: '8' },
      workers: { type: 'string', default: '4' },
      rounds: { type: 'string', default: '3' },
      size: { type: 'string', default: 'large' },
      json: { type: 'boolean', default: false },
      busy: { type: 'boolean', default: false },
    },
  });
  const { size, json, busy } = values;
  const number = (name: 'seconds' | 'workers' | 'rounds', most: number) => {
    const value = Number(values[name]);
    if (/^\d+$/.test(values[name]) && value >= 1 && value <= most) return value;
    throw new Error(`--${name} is a whole number from 1 to ${most}, not ${values[name]}`);
  };
  if (!Object.hasOwn(SIZES, size)) {
    throw new Error(`--size is ${Object.keys(SIZES).join(', ')}, not ${size}`);
  }
  return {
    seconds: number('seconds', 3600),
    workers: number('workers', 256),
    rounds: number('rounds', 100),
    size,
    json,
    busy,
  };
}

/** What else the machine is doing. */
export interface OtherLoad {
  /** Processes that ran or wanted to in the last minute, on average. */
  readonly average: number;
  readonly cpus: number;
}

export function otherLoad(): OtherLoad {
  return { average: loadavg()[0], cpus: cpus().length };
}

/** Whether times would tell of the others more than of the server. */
export function isBusy({ average, cpus }: OtherLoad): boolean {
  return average > cpus;
}

/** As the report has it. */
export function loadText(load: OtherLoad): string {
  const text = `load average ${load.average.toFixed(1)} before`;
  return isBusy(load) ? `${text}: more than there are CPUs, times tell little` : text;
}
