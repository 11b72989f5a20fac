import { readFileSync } from 'node:fs';

/** Bytes of memory in use by a process. */
export interface MemoryUse {
  /** Proportional set size: of a page that n processes share, an n-th. */
  pss: number;
  /** Memory that no file backs, so that each process has its own. */
  anonymous: number;
}

/** From Linux's `/proc`; `null` on other systems. */
export function memoryOf(pid: number): MemoryUse | null {
  if (process.platform !== 'linux') return null;
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  } catch {
    // Before Linux 4.14, and in some sandboxes.
    return null;
  }
  const field = (name: string) => {
    const kibibytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1];
    if (kibibytes === undefined) throw new Error(`/proc/${pid}/smaps_rollup has no ${name}`);
    return Number(kibibytes) * 1024;
  };
  return { pss: field('Pss'), anonymous: field('Anonymous') };
}
