import { readFileSync, statfsSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { kernelsInUse } from './addon.ts';
import { readAheadOf } from './disk.ts';
import { returnsFreeMemory } from './ready-memory.ts';

/** Magic numbers of statfs(2), from linux/magic.h and the file systems' own headers. */
const FILE_SYSTEMS = new Map([
  [0xef53, 'ext4'],
  [0x0102_1994, 'tmpfs'],
  [0x9123_683e, 'btrfs'],
  [0x5846_5342, 'xfs'],
  [0x2fc1_2fc1, 'zfs'],
  [0x794c_7630, 'overlayfs'],
  [0x6969, 'nfs'],
]);

export interface Machine {
  node: string;
  system: string;
  cpu: string;
  cores: number;
  memoryGb: number;
  /** Of the folder that the files are in. */
  fileSystem: string;
  /** Of the disk below it; `undefined` where the system does not tell. */
  readAheadKb: number | undefined;
  reference: string;
  /** Instruction set of the kernels that decode. */
  kernels: string;
  /** When memory gets huge pages: /sys/kernel/mm/transparent_hugepage/enabled; `undefined` where there are none. */
  hugePages: string | undefined;
  /** Whether memory that is free goes back to the host of a virtual machine; it is taken before what needs much. */
  returnsFreeMemory: boolean;
}

export function describeMachine(folder: string, reference: string): Machine {
  const processors = cpus();
  const magic = statfsSync(folder).type;
  return {
    node: process.version,
    system: `${type()} ${release()} ${process.arch}`,
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryGb: Math.round(totalmem() / 1e9),
    fileSystem: FILE_SYSTEMS.get(magic) ?? `0x${magic.toString(16)}`,
    readAheadKb: readAheadOf(folder)?.kilobytes,
    reference,
    kernels: kernelsInUse(),
    hugePages: hugePages(),
    returnsFreeMemory: returnsFreeMemory(),
  };
}

function hugePages(): string | undefined {
  try {
    // "always [madvise] never"
    const text = readFileSync('/sys/kernel/mm/transparent_hugepage/enabled', 'utf8');
    return /\[(\w+)\]/.exec(text)?.[1];
  } catch {
    return undefined;
  }
}
