/** What a chart shows: kept with the results, so that it can be drawn again from them. */
export interface Chart {
  /** Of its file. */
  name: string;
  title: string;
  unit: 'GB/s' | 'ms' | 'MB' | '×';
  /**
   * Bars: one for each point. Lines: one for each name, over `x`, on logarithmic axes. Groups: bars, and `x`
   * says in which group.
   */
  kind: 'bars' | 'lines' | 'groups';
  /** Title of `x`. */
  xTitle?: string;
  points: ChartPoint[];
}

export interface ChartPoint {
  name: string;
  x?: number | string;
  /** How many samples the figures are of. */
  rounds: number;
  median?: number;
  min?: number;
  max?: number;
  /** Why there are none. */
  missing?: string;
}
