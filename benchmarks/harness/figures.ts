/** A row of the tables in docs/benchmarks.md: which row of the results it is, and what it is called there. */
export interface Figure {
  trial: string;
  /** Of the row. */
  id: string;
  label: string;
  /** What it is called in the README, if it is there. */
  headline?: string;
  /** Why its target may be missed: said below the table where it is. */
  missed?: string;
}

type More = Pick<Figure, 'headline' | 'missed'>;

const one = (trial: string, id: string, label: string, more: More = {}): Figure => ({
  trial,
  id,
  label,
  ...more,
});

/** `[id, label, more]` of rows of one trial. */
type Rows = readonly (readonly [id: string, label: string, more?: More])[];

const of = (trial: string, rows: Rows): Figure[] =>
  rows.map(([id, label, more]) => one(trial, id, label, more));

const FIRST_OF_A_PROCESS =
  'the first open of a process loads the addon and the scanner, and runs while V8 has compiled nothing of it yet.';
const CALLS_AGAINST_MEMORY =
  'opening is system calls and a small header, whose time follows the processor, and that of ' +
  '`fs.readFile` follows memory: so does the ratio, from machine to machine.';
const VIEWS_HELD =
  'all tensors and all views of them are held, and V8 moves them each time that it collects young objects; so it does ' +
  'with the least object that keeps its array.';
const LARGE_READ_AHEAD =
  'with a read-ahead of megabytes, as here, the system reads in larger requests where page faults come one after ' +
  'the other than where it is asked to read, and this disk answers those faster. With the usual 128 KB it is the ' +
  'other way round.';
const COMPILED_MEANWHILE =
  'rounds differ by more than what is missing: V8 compiles meanwhile, on a core that may be busy.';
const GARBAGE_OF_MANY =
  'what each tensor takes while it is written is garbage until V8 collects it.';
const INDEX_OF_A_MODEL =
  'the reference reads no index. Ours has 10 MB, must be read and looked through before the first shard can be ' +
  'opened, and each tensor is compared with its entry there.';
const FAULTS_OF_A_FAST_DISK =
  'page faults alone wait for the disk once for each 128 KB. Where it answers at once, they come near to its full ' +
  'speed, the more so the larger the tensors are, and nothing is faster than that: by how much the disk alone is, for ' +
  'as many blocks of that size, is in the rows below.';
const NEAR_MEMORY =
  'a plain loop is limited by what it computes, a kernel by memory: one cannot be faster than the other by more ' +
  'than memory is, which the row against the kernel that only moves bytes shows.';
const NEW_PAGES =
  'the system clears new memory before it gives it, which takes most of the time, and which a plain loop waits for ' +
  'as well: what the memory alone takes is in a row below.';
const NODE_20 = 'Node 20 has no buffer over 4 GiB, and each costs V8 one full garbage collection.';
const NO_SPARE_CORES =
  'saving copies, on other threads, which want cores and memory that the machine has to spare; dd with ' +
  'oflag=direct does not.';
const LATE_LOOP =
  'the worst of all rounds counts; where all cores are busy, be it by others, the thread of the event loop waits for ' +
  'one.';
const HEADER_IS_COPIED =
  'the header is copied into memory of our own, and V8 takes some for WebAssembly; the reference reads it from ' +
  'the mapping.';
const COPY_OF_THE_HEADER =
  'copying the header is most of it, whose time follows memory: rounds differ by more than what is missing.';

const HOSTILE: readonly [id: string, label: string][] = [
  ['entries', '1.75 million entries'],
  ['shape', 'a shape of 49 million elements'],
  ['ignored', 'an ignored field of 49 million elements'],
  ['metadata', '8 million metadata keys'],
  ['space', '100 MB of white space'],
];

/** Heading and rows of each table. */
export const FIGURES: readonly [heading: string, rows: readonly Figure[]][] = [
  [
    'Opening, against `fs.readFile`',
    of('open-size', [
      [
        'whole-warm-further',
        '2.0 GB in the page cache',
        {
          headline: 'open 2.0 GB, against `fs.readFile`',
          missed: CALLS_AGAINST_MEMORY,
        },
      ],
      [
        'whole-warm-first',
        '… the first of a process',
        { headline: '… the first file of a process', missed: FIRST_OF_A_PROCESS },
      ],
      ['whole-warm-further-views', '… and views of all tensors'],
      ['whole-cold-first', '2.0 GB not in memory, the first of a process'],
      ['large-warm-further', '4.5 GB, which `fs.readFile` refuses: positioned reads'],
      ['growth', 'the ratio, as the file grows', { missed: CALLS_AGAINST_MEMORY }],
    ]),
  ],
  [
    'Reading all of a file, or some of it',
    [
      ...of('touch', [
        ['cold-best-reader', '2.0 GB cold: `prefetch()`, against the best sequential reader'],
        ['cold-mapped', '… against buffered reads into the page cache, then mapped'],
        [
          'cold-touched-read-file',
          '… and every page touched, against `fs.readFile` and views',
          { headline: 'read all of 2.0 GB, cold, against `fs.readFile` and views' },
        ],
        ['cold-touched-jax', '… against `@jax-js/loaders`'],
        ['cold-touched-npm', '… against `safetensors` of npm'],
        [
          'cold-touched-python-mmap',
          '… against Python `safetensors`, mmap',
          { headline: '… against Python `safetensors`', missed: LARGE_READ_AHEAD },
        ],
        ['cold-touched-python-pread', '… against Python `safetensors`, pread'],
        ['cold-touched-torch-read', '… against `torch.load`'],
        [
          'cold-touched-torch-mmap',
          '… against `torch.load` with mmap',
          { missed: LARGE_READ_AHEAD },
        ],
        [
          'cold-touched-rust',
          '… against Rust `safetensors` and memmap2',
          { headline: '… against Rust `safetensors` and memmap2' },
        ],
        ['cold-touched-faults', '… against page faults alone'],
      ]),
      ...of('scattered', [
        [
          '16kib-faults',
          '5 % of the tensors, scattered, cold, read-ahead 128 KB, against page faults alone: tensors of 16 KiB',
          { missed: FAULTS_OF_A_FAST_DISK },
        ],
        ['64kib-faults', '… of 64 KiB', { missed: FAULTS_OF_A_FAST_DISK }],
        ['1024kib-faults', '… of 1 MiB', { missed: FAULTS_OF_A_FAST_DISK }],
        ['16384kib-faults', '… of 16 MiB', { missed: FAULTS_OF_A_FAST_DISK }],
        [
          '16kib-most',
          '… of 16 KiB: the disk alone (fio, direct, 64 reads at a time), against page faults alone',
        ],
        ['64kib-most', '… of 64 KiB'],
        ['1024kib-most', '… of 1 MiB'],
        ['16384kib-most', '… of 16 MiB'],
        ['16kib-disk', '… of 16 KiB, against the disk alone'],
        ['64kib-disk', '… of 64 KiB'],
        ['1024kib-disk', '… of 1 MiB'],
        ['16384kib-disk', '… of 16 MiB'],
        ['64kib-python', '… of 64 KiB, against Python `safetensors`'],
        ['64kib-rust', '… of 64 KiB, against Rust `safetensors` and memmap2'],
      ]),
    ],
  ],
  [
    'Memory, and what else runs meanwhile',
    [
      ...of('processes', [
        [
          'pss-over-file',
          '4 processes with 1.0 GB: all their memory (PSS), less what they take anyway',
        ],
        [
          'pss-read-file',
          '… in all, against `fs.readFile`',
          { headline: '4 processes with 1.0 GB, memory (PSS) of all, against `fs.readFile`' },
        ],
        ['pss-python', '… against Python `safetensors`'],
        ['pss-rust', '… against Rust `safetensors` and memmap2'],
      ]),
      one(
        'loop',
        'delay-p99',
        'delay of the event loop while 4.3 GB are prefetched, 99th percentile',
        { missed: LATE_LOOP },
      ),
      ...of('gc', [
        ['full', 'full garbage collections of opening 2.0 GB beside a heap of 200 MB'],
        ['pause', '… pauses of all collections'],
      ]),
    ],
  ],
  [
    'Headers and views',
    [
      ...of('header', [
        [
          'deepseek-python-further',
          'DeepSeek-V3 (91,985 tensors, 12.3 MB), against the reference',
          {
            headline: 'open 91,985 tensors (DeepSeek-V3), against the Python reference',
            missed: COMPILED_MEANWHILE,
          },
        ],
        [
          'deepseek-python-first',
          '… the first of a process',
          { headline: '… the first file of a process', missed: FIRST_OF_A_PROCESS },
        ],
        ['deepseek-rust-further', '… against Rust `safetensors` and memmap2'],
        ['deepseek-json-further', '… against `JSON.parse` and the same checks'],
        ['deepseek-json-first', '… the first of a process', { missed: FIRST_OF_A_PROCESS }],
        ['gpt2-parse-further', 'GPT-2 (160 tensors), against `JSON.parse` alone'],
        ['shard-parse-further', 'one shard of DeepSeek-V3 (565 tensors), likewise'],
        ['shard-parse-first', '… the first of a process'],
        ['llama-parse-further', 'Llama 3.1 405B (1,137 tensors), likewise'],
      ]),
      ...of('models', [
        [
          'open-further',
          '163 shards, `openModel` against the reference, shard by shard',
          { missed: INDEX_OF_A_MODEL },
        ],
        ['open-first', '… the first of a process', { missed: INDEX_OF_A_MODEL }],
        ['open-indexed-further', '… against the reference and `json.load` of the index'],
        ['open-indexed-first', '… the first of a process'],
        [
          'heap-opening-gcs-node22',
          '… full garbage collections of opening them, beside a large heap, Node 22 and later',
        ],
        ['heap-opening-gcs-node20', '… Node 20'],
        ['alone-opening-gcs-node22', '… in a process that has nothing else, Node 22 and later'],
        ['alone-opening-gcs-node20', '… Node 20'],
        [
          'heap-gcs-node22',
          '… with views of all tensors as well, beside a large heap, Node 22 and later',
        ],
        [
          'alone-gcs-node22',
          '… in a process that has nothing else',
          {
            missed:
              'one is of the JavaScript heap, which grows by the tensors and views that are held.',
          },
        ],
      ]),
      one(
        'sparse',
        'same-header-first',
        '685 GB sparse, against a small file with the same header',
        { missed: 'the address range that is reserved is larger, and other work blurs the rest.' },
      ),
      ...of('views', [
        [
          'gpt2-data-node20',
          "a view (`tensor.data`), GPT-2's 160 tensors",
          { headline: "a view (`tensor.data`), GPT-2's 160 tensors" },
        ],
        ['gpt2-data-array-node20', '… against `new Float32Array(buffer, offset, length)` alone'],
        ['gpt2-collected-node20', '… each pass after a full collection'],
        [
          'deepseek-data-node20',
          '… 91,985 tensors of 685 GB, all views held',
          { headline: '… 91,985 tensors, all views held', missed: VIEWS_HELD },
        ],
        ['deepseek-collected-node20', '… each pass after a full collection'],
        [
          'deepseek-data-array-node20',
          '… against `new Float32Array(buffer, offset, length)` alone',
        ],
        [
          'deepseek-data-objects-node20',
          '… against an object of four fields that makes such an array and keeps it',
        ],
        ['deepseek-get-data-node20', '… of a name (`getTensor(name).data`)'],
        [
          'deepseek-first-gcs-node22',
          'full garbage collections for the views of all tensors of 685 GB, Node 22 and later',
        ],
        ['deepseek-first-gcs-node20', '… Node 20: buffers of 4 GiB', { missed: NODE_20 }],
        ['deepseek-first-pass-node20', '… their time'],
      ]),
    ],
  ],
  [
    'Hostile headers of 100 MB, against the reference',
    HOSTILE.flatMap(([id, label]) => {
      const missed = { missed: HEADER_IS_COPIED };
      return of('hostile', [
        [`${id}-valid-time`, `${label}: time`, { missed: COPY_OF_THE_HEADER }],
        [`${id}-valid-memory`, '… memory', missed],
        [`${id}-invalid-time`, '… invalid at its very end: time', { missed: COPY_OF_THE_HEADER }],
        [`${id}-invalid-memory`, '… memory', missed],
      ]);
    }),
  ],
  [
    'Slices',
    of('slices', [
      [
        'wide-pages-sync',
        'an eighth of a weight’s columns, 1 GiB, cold: pages read, of those needed',
      ],
      ['wide-cold-python', '… time, against the reference'],
      ['wide-cold-rust', '… against Rust `safetensors` and memmap2'],
      [
        'wide-warm-first-python',
        '… in the page cache, the first of a process, against the reference',
      ],
      [
        'narrow-cold-python',
        '… rows shorter than a page, where all are needed, cold',
        { missed: LARGE_READ_AHEAD },
      ],
    ]),
  ],
  [
    'Decoding to F32',
    of('decode', [
      ['BF16-warm-bound', 'BF16, warm, against a kernel that only moves as many bytes'],
      [
        'BF16-warm-loop',
        '… against a plain JavaScript loop',
        { headline: 'decode BF16 to F32, against a plain JavaScript loop', missed: NEAR_MEMORY },
      ],
      ['BF16-warm-memcpy', '… against memcpy of the results'],
      ['BF16-fresh-bound', '… into a new array, against the kernel'],
      ['BF16-fresh-loop', '… against the loop', { missed: NEW_PAGES }],
      ['BF16-fresh-pages', '… against the new memory alone, in huge pages'],
      ['F16-warm-bound', 'F16, warm, against the kernel'],
      ['F16-warm-loop', '… against the loop', { missed: NEAR_MEMORY }],
      ['F8_E4M3-warm-bound', 'F8_E4M3, warm, against the kernel'],
      ['F8_E4M3-warm-loop', '… against the loop', { missed: NEAR_MEMORY }],
      ['F8_E4M3-fresh-loop', '… into a new array, against the loop', { missed: NEW_PAGES }],
      ['F8_E4M3-fresh-pages', '… against the new memory alone, in huge pages'],
      ['F8_E5M2-warm-bound', 'F8_E5M2, warm, against the kernel'],
      ['FP8 in blocks-warm-bound', 'FP8 with scales of blocks, warm, against the kernel'],
      ['MXFP4-warm-bound', 'MXFP4, warm, against the kernel'],
    ]),
  ],
  [
    'Saving',
    of('save', [
      ['durable-dd', '2.1 GB, on the disk, against `dd oflag=direct`', { missed: NO_SPARE_CORES }],
      [
        'durable-python',
        '… against the reference and fsync',
        { headline: 'save 2.1 GB durably, against the reference and fsync' },
      ],
      ['cached-python', '… in the page cache, against the reference', { missed: NO_SPARE_CORES }],
      ['large-memory', '… memory of its own'],
      [
        'large-delay',
        '… longest delay of the event loop; peer: a process that does nothing',
        { missed: LATE_LOOP },
      ],
      ['mapped-dd', '2.1 GB of a file that is open, on the disk, against `dd oflag=direct`'],
      ['mapped-memory', '… memory of its own'],
      ['mapped-delay', '… longest delay of the event loop, likewise', { missed: LATE_LOOP }],
      ['many', '91,985 tensors of 4 bytes, in the page cache'],
      ['many-memory', '… memory of its own', { missed: GARBAGE_OF_MANY }],
      [
        'many-delay',
        '… longest delay of the event loop; peer: a process that does nothing',
        { missed: LATE_LOOP },
      ],
    ]),
  ],
  [
    'Converting a PyTorch checkpoint',
    of('convert', [
      [
        'plain',
        '2.1 GB zip, against `torch.load` and `save_file`',
        {
          headline: 'convert a 2.1 GB PyTorch checkpoint, against `torch.load` and `save_file`',
        },
      ],
      ['verified', '… and every byte of the result compared'],
      ['memory', '… memory of its own'],
      ['python-memory', '… memory of Python’s own'],
    ]),
  ],
];
