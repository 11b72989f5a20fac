import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Histogram } from 'prom-client';
import type { Embedder } from './embedder.ts';

/** From a short text of a small encoder to a request that is too long to wait for. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** What one worker counts. The primary adds the workers up; pages that all share it counts once. */
export class WorkerMetrics {
  readonly requests = new Counter({
    name: 'embeddings_requests_total',
    help: 'Requests of embeddings by the status of their answer',
    labelNames: ['status'],
  });
  readonly seconds = new Histogram({
    name: 'embeddings_request_seconds',
    help: 'Time from a request of embeddings to its answer',
    buckets: SECONDS,
  });
  readonly tokens = new Counter({
    name: 'embeddings_tokens_total',
    help: 'Tokens that were embedded',
  });
  readonly underWay = new Gauge({
    name: 'embeddings_requests_under_way',
    help: 'Requests of embeddings that wait or are being computed',
  });

  /** @param current The model that is served. */
  constructor(current: () => Embedder | undefined) {
    // Answers the primary, which asks for what its workers have counted.
    new AggregatorRegistry();
    collectDefaultMetrics();
    gaugeOfModel('model_bytes', "Bytes of the model's tensors", async () => {
      return (await current()?.residency())?.byteLength;
    });
    gaugeOfModel('model_resident_bytes', 'Those of them that are in memory', async () => {
      return (await current()?.residency())?.residentBytes;
    });
    countFaults();
  }
}

function gaugeOfModel(name: string, help: string, value: () => Promise<number | undefined>): void {
  new Gauge({
    name,
    help,
    aggregator: 'max',
    async collect() {
      // The model may be closed meanwhile: it was replaced.
      this.set((await value().catch(() => undefined)) ?? 0);
    },
  });
}

/** Major faults waited for the disk, minor ones found the page in memory. */
function countFaults(): void {
  const seen = { major: 0, minor: 0 };
  new Counter({
    name: 'process_page_faults_total',
    help: 'Page faults; major ones waited for the disk',
    labelNames: ['kind'],
    collect() {
      const { majorPageFault, minorPageFault } = process.resourceUsage();
      this.inc({ kind: 'major' }, majorPageFault - seen.major);
      this.inc({ kind: 'minor' }, minorPageFault - seen.minor);
      seen.major = majorPageFault;
      seen.minor = minorPageFault;
    },
  });
}
