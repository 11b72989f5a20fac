/**
 * Opens a file, makes a view of each tensor, and prints what that took, as JSON.
 *
 *   ours FILE OPENS        safeOpenSync, so many times
 *   read-file FILE OPENS   once, whatever is asked: fs.readFile and views; above its limit of 2 GiB, positioned reads of each tensor
 */
import { safeOpenSync } from 'safetensors-mmap';
import { checksumOfViews } from './checksums.ts';
import { isReadable, readTensors, readWhole, viewsOf } from './read-file.ts';
import type { SizesResult } from './results.ts';

/** One opening, in milliseconds. */
interface Times {
  open: number;
  /** Until there was a view of each tensor, where they were asked for. */
  views: number;
  checksum: string;
}

function ours(path: string, withViews: boolean): Times {
  const start = performance.now();
  const file = safeOpenSync(path);
  const open = performance.now() - start;
  if (!withViews) {
    file.close();
    return { open, views: Number.NaN, checksum: '' };
  }
  const views = file.offsetKeys().map((name) => file.getTensor(name).data);
  const viewed = performance.now() - start;
  const checksum = checksumOfViews(views);
  file.close();
  return { open, views: viewed, checksum };
}

async function readFile(path: string): Promise<Times> {
  const start = performance.now();
  if (!(await isReadable(path))) {
    const views = await readTensors(path);
    const time = performance.now() - start;
    return { open: time, views: time, checksum: checksumOfViews(views) };
  }
  const bytes = await readWhole(path);
  const open = performance.now() - start;
  const views = [...viewsOf(bytes).values()];
  return { open, views: performance.now() - start, checksum: checksumOfViews(views) };
}

const middle = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1];

function allOurs(path: string, opens: number): SizesResult {
  const first = ours(path, true);
  const range = Array.from({ length: opens - 1 });
  // Apart from each other: making a large buffer collects garbage, which the next open would feel.
  const further = range.map(() => ours(path, false).open);
  const furtherViews = range.map(() => ours(path, true).views);
  return {
    first: first.open,
    further: middle(further),
    firstViews: first.views,
    furtherViews: middle(furtherViews),
    checksum: first.checksum,
  };
}

async function onlyOne(path: string): Promise<SizesResult> {
  const { open, views, checksum } = await readFile(path);
  return { first: open, further: open, firstViews: views, furtherViews: views, checksum };
}

const [task, path, opens] = process.argv.slice(2);
const result = task === 'ours' ? allOurs(path, Number(opens)) : await onlyOne(path);
console.log(JSON.stringify(result));
