import { Presets, SingleBar } from 'cli-progress';
import { type Terminal, terminalOf } from './terminal.ts';
import { formatBytes, widthOf } from './text.ts';

/** What is over sooner needs no bar. */
const PATIENCE_MS = 1000;

const BAR_COLUMNS = 24;
const LEAST_BAR_COLUMNS = 8;
/** `  100%  1.23 GB of 12.3 GB`, and the last column, where some terminals begin a new line. */
const FACTS_COLUMNS = 32;

const GAP = '  ';

/** How far something has come. */
export interface Progress extends Disposable {
  /** Takes what the library tells while it writes. */
  update(now: { bytes: number; totalBytes: number }): void;
}

const SILENT: Progress = { update() {}, [Symbol.dispose]() {} };

/**
 * A bar on standard error, from the second second on and until it is disposed of, when it leaves
 * nothing behind. Where standard error is no terminal, or one that cannot go back, there is none.
 */
export function showProgress(label: string): Progress {
  const { stderr, env } = process;
  if (!stderr.isTTY || env.TERM === 'dumb') return SILENT;
  const terminal = terminalOf(stderr, env);
  let last = { bytes: 0, totalBytes: 0 };
  let bar: SingleBar | undefined;
  let isPatient = true;
  const timer = setTimeout(() => {
    isPatient = false;
    show();
  }, PATIENCE_MS);
  const show = () => {
    const { bytes, totalBytes } = last;
    // Before the first bytes, nothing is known of all.
    if (isPatient || totalBytes === 0) return;
    if (bar) {
      bar.update(bytes);
      return;
    }
    bar = barOf(label, terminal);
    bar.start(totalBytes, bytes);
  };
  return {
    update(now) {
      last = now;
      show();
    },
    [Symbol.dispose]() {
      clearTimeout(timer);
      isPatient = true;
      bar?.stop();
      bar = undefined;
    },
  };
}

function barOf(label: string, { width }: Terminal): SingleBar {
  const room = width - FACTS_COLUMNS - widthOf(label) - GAP.length;
  const parts = ['{percentage}%', '{value} of {total}'];
  if (room >= LEAST_BAR_COLUMNS) parts.unshift('{bar}');
  if (room >= 0) parts.unshift(label);
  return new SingleBar(
    {
      format: parts.join(GAP),
      barsize: Math.max(0, Math.min(room, BAR_COLUMNS)),
      formatValue: (value, _, type) =>
        type === 'value' || type === 'total' ? formatBytes(value) : `${value}`,
      clearOnComplete: true,
      // Modes of the terminal would outlive a killed process.
      linewrap: true,
      hideCursor: false,
      // See interruption.ts.
      gracefulExit: false,
    },
    Presets.shades_classic,
  );
}
