import { arch, cpus, platform, release, totalmem } from 'node:os';

/** What a number of milliseconds means nothing without. */
export interface Machine {
  node: string;
  /** Operating system, kernel and architecture. */
  system: string;
  cpu: string;
  cores: number;
  /** Bytes. */
  memory: number;
}

export function thisMachine(): Machine {
  const processors = cpus();
  return {
    node: process.versions.node,
    system: `${platform()} ${release()} ${arch()}`,
    cpu: processors[0]?.model.trim() || 'unknown processor',
    cores: processors.length,
    memory: totalmem(),
  };
}
