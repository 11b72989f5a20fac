import type { Chart } from './chart.ts';
import type { Child } from './child.ts';
import type { Comparison } from './compare.ts';

/** Something that this machine cannot measure: reported as such, never as a target met. */
export class NotMeasured extends Error {
  override readonly name = 'NotMeasured';
}

/** A Node for the trials that compare versions: 20 has no ArrayBuffer over 4 GiB, later ones have. */
export interface NodeChild extends Child {
  kind: 'node20' | 'node22';
}

export interface Setting {
  /** Folder for the files of a trial; removed at the end. */
  folder: string;
  /** Repetitions, unless a row says that it is of fewer. */
  rounds: number;
  quick: boolean;
  /** Inputs of a few megabytes, for tests of the suite itself: the figures mean nothing. */
  tiny: boolean;
  /** This Node and those of `--node`, one of each kind. */
  nodes: readonly NodeChild[];
  ours: Child;
  jsonParse: Child;
  /** The Python reference. */
  reference: Child;
  /** Tells who waits what is being measured. */
  progress: (text: string) => void;
  /** Keeps a chart with the results. */
  draw: (chart: Chart) => void;
}

export interface Trial {
  name: string;
  title: string;
  /** What the rows mean, line by line. */
  explains: readonly string[];
  run: (setting: Setting) => Promise<Comparison[]>;
}
