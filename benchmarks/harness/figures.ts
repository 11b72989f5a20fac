/** A row of the tables in docs/benchmarks.md: which row of the results it is, and what it is called there. */
export interface Figure {
  trial: string;
  what: RegExp;
  /** Whom it is compared with, where several are. */
  peer?: RegExp;
  label: string;
  /** What it is called in the README, if it is there. */
  headline?: string;
}

const LARGE = /^DeepSeek-V3, 685 GB, Node v/;

/** Heading and rows of each table. */
export const FIGURES: readonly [heading: string, rows: readonly Figure[]][] = [
  [
    'Opening, against `fs.readFile`',
    [
      headline(
        'open 2.0 GB, against `fs.readFile`',
        open(/^2\.0 GB, warm: further opens/, '2.0 GB in the page cache'),
      ),
      headline(
        '… the first file of a process',
        open(/^2\.0 GB, warm: the first open/, '… the first of a process'),
      ),
      open(/^2\.0 GB, warm: further ones, and/, '… and views of all tensors'),
      open(/^2\.0 GB, cold/, '2.0 GB not in memory, the first of a process'),
      open(
        /^4\.3 GB, warm: further opens/,
        '4.3 GB, which `fs.readFile` refuses: positioned reads',
      ),
      open(/^the gap grows/, 'the ratio, as the file grows'),
    ],
  ],
  [
    'Reading all of a file, or some of it',
    [
      cold(/prefetch\(\)$/, '2.0 GB cold: `prefetch()`, against the best sequential reader'),
      headline(
        'read all of 2.0 GB, cold, against `fs.readFile` and views',
        cold(/touched/, '… and every page touched, against `fs.readFile` and views', /readFile/),
      ),
      cold(/touched/, '… against `@jax-js/loaders` 0.1.1', /jax/),
      cold(/touched/, '… against `safetensors` 0.0.1 of npm', /of npm/),
      headline(
        '… against Python `safetensors`',
        cold(/touched/, '… against Python `safetensors`, mmap', /Python.*mmap/),
      ),
      cold(/touched/, '… against Python `safetensors`, pread', /pread/),
      cold(/touched/, '… against `torch.load`', /torch\.load.*read$/),
      cold(/touched/, '… against `torch.load` with mmap', /torch\.load.*mmap/),
      headline(
        '… against Rust `safetensors` and memmap2',
        cold(/touched/, '… against Rust `safetensors` and memmap2', /Rust/),
      ),
      cold(/touched/, '… against page faults alone', /page faults/),
      ...['16 KiB', '64 KiB', '1 MiB', '16 MiB'].map((size, i) => ({
        trial: 'scattered',
        what: new RegExp(`of ${size}, read-ahead 128 KB`),
        label:
          i === 0
            ? '5 % of the tensors, scattered, cold, read-ahead 128 KB, against page faults alone: tensors of 16 KiB'
            : `… of ${size}`,
      })),
    ],
  ],
  [
    'Memory, and what else runs meanwhile',
    [
      one(
        'processes',
        /less what/,
        '4 processes with 1.0 GB: all their memory (PSS), less what they take anyway',
      ),
      headline(
        '4 processes with 1.0 GB, memory (PSS) of all, against `fs.readFile`',
        one('processes', /PSS of all$/, '… in all, against `fs.readFile`'),
      ),
      one('loop', /99th/, 'delay of the event loop while 4.3 GB are prefetched, 99th percentile'),
      one('gc', /full GCs/, 'full garbage collections of opening 2.0 GB beside a heap of 200 MB'),
      one('gc', /pause/, '… pauses of all collections'),
    ],
  ],
  [
    'Headers and views',
    [
      headline(
        'open 91,985 tensors (DeepSeek-V3), against the Python reference',
        header(
          /DeepSeek.*tensors: further/,
          'DeepSeek-V3 (91,985 tensors, 12.3 MB), against the reference',
          /Python/,
        ),
      ),
      headline(
        '… the first file of a process',
        header(/DeepSeek.*tensors: first/, '… the first of a process', /Python/),
      ),
      header(/DeepSeek.*tensors: further/, '… against `JSON.parse` and the same checks', /JSON/),
      header(/DeepSeek.*tensors: first/, '… the first of a process', /JSON/),
      header(/GPT-2.*: further/, 'GPT-2 (160 tensors), against `JSON.parse` alone', /alone/),
      header(/shard.*: further/, 'one shard of DeepSeek-V3 (565 tensors), likewise', /alone/),
      header(/shard.*: first/, '… the first of a process, which loads the addon', /alone/),
      header(/Llama.*: further/, 'Llama 3.1 405B (1,137 tensors), likewise', /alone/),
      one(
        'models',
        /: further opens$/,
        '163 shards, `openModel` against the reference, shard by shard',
      ),
      one('models', /: first open$/, '… the first of a process'),
      one(
        'models',
        /v2[2-9].*heap of \d{3} MB: full/,
        '… full garbage collections with views of all, beside a large heap',
      ),
      one('models', /v2[2-9].*heap of \d{1,2} MB: full/, '… in a process that has nothing else'),
      one(
        'sparse',
        /685 GB: first open/,
        '685 GB sparse, against a small file with the same header',
        /same header/,
      ),
      headline(
        'a view of a tensor (`tensor.data`)',
        one(
          'views',
          new RegExp(`${LARGE.source}.*: tensor.data`),
          'a view (`tensor.data`), 685 GB',
        ),
      ),
      one(
        'views',
        new RegExp(`${LARGE.source}2[2-9].*: full GCs of the first`),
        'full garbage collections for the views of all tensors of 685 GB, Node 22 and later',
      ),
      one(
        'views',
        new RegExp(`${LARGE.source}20.*: full GCs of the first`),
        'full garbage collections for the views of all tensors of 685 GB, Node 20: buffers of 4 GiB',
      ),
    ],
  ],
  [
    'Slices',
    [
      one(
        'slices',
        /64 KiB, cold: pages read/,
        'an eighth of a weight’s columns, 1 GiB, cold: pages read, of those needed',
      ),
      one('slices', /64 KiB, cold$/, '… time, against the reference', /Python/),
      one(
        'slices',
        /64 KiB, warm, the first$/,
        '… in the page cache, the first of a process',
        /Python/,
      ),
      one(
        'slices',
        /3 KiB, cold$/,
        '… rows shorter than a page, where all are needed, cold',
        /Python/,
      ),
    ],
  ],
  [
    'Decoding to F32',
    [
      decode(
        /^BF16, warm/,
        'BF16, warm, against a kernel that only moves as many bytes',
        /as many/,
      ),
      headline(
        'decode BF16 to F32, against a plain JavaScript loop',
        decode(/^BF16, warm/, '… against a plain JavaScript loop', /loop/),
      ),
      decode(/^BF16, fresh/, '… into a new array, against the kernel', /as many/),
      decode(/^F16, warm/, 'F16, warm, against the kernel', /as many/),
      decode(/^F16, warm/, '… against the loop', /loop/),
      decode(/^F8_E4M3, warm/, 'F8_E4M3, warm, against the kernel', /as many/),
      decode(/^F8_E4M3, warm/, '… against the loop', /loop/),
      decode(/^F8_E5M2, warm/, 'F8_E5M2, warm, against the kernel', /as many/),
      decode(
        /^FP8 in blocks, warm/,
        'FP8 with scales of blocks, warm, against the kernel',
        /as many/,
      ),
      decode(/^MXFP4, warm/, 'MXFP4, warm, against the kernel', /as many/),
    ],
  ],
  [
    'Saving',
    [
      one('save', /on the disk/, '2.1 GB, on the disk, against `dd oflag=direct`', /dd/),
      headline(
        'save 2.1 GB durably, against the reference and fsync',
        one('save', /on the disk/, '… against the reference and fsync', /then fsync$/),
      ),
      one('save', /page cache/, '… in the page cache, against the reference'),
      one('save', /memory/, '… memory of its own'),
      one('save', /longest/, '… longest delay of the event loop'),
    ],
  ],
  [
    'Converting a PyTorch checkpoint',
    [
      headline(
        'convert a 2.1 GB PyTorch checkpoint, against `torch.load` and `save_file`',
        one('convert', /checkpoint$/, '2.1 GB zip, against `torch.load` and `save_file`', /torch/),
      ),
      one('convert', /compared$/, '… and every byte of the result compared', /torch/),
      one('convert', /own, at the peak/, '… memory of its own'),
      one('convert', /Python's own/, '… memory of Python’s own'),
    ],
  ],
];

function headline(text: string, figure: Figure): Figure {
  return { ...figure, headline: text };
}

function one(trial: string, what: RegExp, label: string, peer?: RegExp): Figure {
  return { trial, what, label, ...(peer === undefined ? {} : { peer }) };
}

function open(what: RegExp, label: string): Figure {
  return one('open-size', what, label);
}

function cold(what: RegExp, label: string, peer?: RegExp): Figure {
  return one('touch', new RegExp(`^2\\.0 GB, cold: .*${what.source}`), label, peer);
}

function decode(what: RegExp, label: string, peer: RegExp): Figure {
  return one('decode', new RegExp(`${what.source} destination$`), label, peer);
}

function header(what: RegExp, label: string, peer: RegExp): Figure {
  return one('header', what, label, peer);
}
