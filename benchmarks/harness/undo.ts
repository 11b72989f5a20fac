/** What a run has to put right before it ends, however it ends. */
const pending = new Set<() => void>();

/** Exit codes of shells for what a signal ended: 128 and its number. */
const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

function undoAll(): void {
  for (const undo of [...pending].reverse()) {
    pending.delete(undo);
    undo();
  }
}

process.on('exit', undoAll);
for (const [signal, code] of Object.entries(SIGNALS)) {
  process.once(signal, () => {
    undoAll();
    process.exit(code);
  });
}

/**
 * Has `undo` called at the end of the run, also on Ctrl-C; the last given is called first. Returns what
 * calls it now, and not again.
 */
export function atEnd(undo: () => void): () => void {
  pending.add(undo);
  return () => {
    if (pending.delete(undo)) undo();
  };
}
