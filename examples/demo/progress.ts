import { Presets, SingleBar } from 'cli-progress';
import colors from 'picocolors';

export interface Progress {
  update(value: number): void;
  increment(): void;
  stop(): void;
}

/**
 * A bar on standard error, which leaves standard output to the results; where that is no terminal,
 * one line.
 */
export function showProgress(label: string, total: number, unit = ''): Progress {
  if (!process.stderr.isTTY) {
    process.stderr.write(`${label} …\n`);
    return { update() {}, increment() {}, stop() {} };
  }
  const bar = new SingleBar(
    {
      format: `  ${label}  ${colors.cyan('{bar}')} {percentage}%  {value}/{total}${unit}`,
      barsize: 24,
      hideCursor: true,
      clearOnComplete: true,
      // The demo has its own handler of Ctrl-C, which stops the bar too.
      gracefulExit: false,
    },
    Presets.shades_classic,
  );
  bar.start(total, 0);
  return bar;
}
