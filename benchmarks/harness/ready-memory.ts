import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { measure } from './child.ts';
import { nodeDriver } from './drivers.ts';
import { unusedMemory } from './memory.ts';

const VIRTIO_DEVICES = '/sys/bus/virtio/devices';
/** Of the virtio specification: the device, and the place of VIRTIO_BALLOON_F_REPORTING in its features. */
const BALLOON = 5;
const REPORTING = 5;

/** What takes less finds what the process before it has just given up. */
const LEAST_BYTES = 2 ** 29;
/** Left to the rest of the machine. */
const SPARE_BYTES = 2 ** 28;
/** Linux returns what has been free for 2 s (PAGE_REPORTING_DELAY in mm/page_reporting.c). */
const RETURNED_AFTER_MS = 2500;

const TAKER = nodeDriver('take-memory', 'taking memory');

/**
 * Whether this is a virtual machine that returns free memory to its host (free page reporting). Whoever takes it
 * again waits at the first touch of each page until the host has found one: seconds for 2 GB, instead of half of one.
 *
 * @param devices Folder of what virtio gives the machine, by /sys.
 */
export function returnsFreeMemory(devices = VIRTIO_DEVICES): boolean {
  try {
    return readdirSync(devices).some((device) => {
      const read = (name: string) => readFileSync(join(devices, device, name), 'utf8');
      // A digit for each feature, the first of them first.
      return Number(read('device')) === BALLOON && read('features')[REPORTING] === '1';
    });
  } catch {
    return false; // no virtio, no sysfs
  }
}

/**
 * Where free memory is returned to the host: takes so much of it and gives it up again, so that what is measured
 * next, for about two seconds, does not wait for the host. It is kept for as long as memory that was freed before is
 * still on its way to the host.
 */
export async function readyMemory(bytes: number): Promise<void> {
  if (bytes <= LEAST_BYTES || !returnsFreeMemory()) return;
  const taken = Math.min(bytes, unusedMemory() - SPARE_BYTES);
  if (taken > 0) await measure(TAKER, 'take', Math.floor(taken), RETURNED_AFTER_MS);
}
