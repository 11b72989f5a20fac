import { PyCall, PyGlobal, type Value } from './pickle/values.ts';

/**
 * Modules of Python, and what harm can be done with them. What is in this list is refused even when
 * unknown names are to be skipped, and named for what it is; safety does not depend on it, since nothing is
 * called either way.
 */
const DANGEROUS_MODULES: readonly (readonly [harm: string, modules: string])[] = [
  [
    'it runs commands',
    'os posix nt subprocess _posixsubprocess pty commands popen2 platform distutils setuptools pip ' +
      'ensurepip venv asyncio multiprocessing concurrent sh pexpect paramiko fabric invoke',
  ],
  [
    'it runs code',
    'runpy timeit cProfile profile pdb bdb trace doctest code codeop imp importlib zipimport pkgutil ' +
      'idlelib lib2to3 pydoc unittest test turtledemo cgitb marshal types inspect ast sys gc ' +
      'atexit signal sched threading _thread _xxsubinterpreters site sysconfig logging IPython jupyter',
  ],
  [
    'it reads another pickle',
    'pickle _pickle cPickle dill cloudpickle joblib shelve copyreg copy_reg',
  ],
  [
    'it reaches any attribute or function',
    'operator _operator functools _functools itertools weakref',
  ],
  [
    'it uses the network',
    'socket _socket ssl _ssl select socketserver urllib urllib2 urllib3 http httplib ftplib smtplib ' +
      'poplib imaplib nntplib telnetlib xmlrpc webbrowser antigravity requests httpx aiohttp wsgiref ' +
      'huggingface_hub boto3',
  ],
  [
    'it reads or writes files',
    'io _io shutil tempfile fileinput glob linecache bz2 gzip lzma zipfile tarfile sqlite3 dbm mmap ' +
      'netrc mailbox configparser',
  ],
  ['it reaches memory', 'ctypes _ctypes cffi _cffi_backend'],
];

const HARM_BY_MODULE: ReadonlyMap<string, string> = new Map(
  DANGEROUS_MODULES.flatMap(([harm, modules]) =>
    modules.split(' ').map((module) => [module, harm] as const),
  ),
);

/** Single functions of modules that have harmless ones too. */
const DANGEROUS_FUNCTIONS: readonly (readonly [name: RegExp, harm: string])[] = [
  [/^(__builtin__|builtins)\.(eval|exec|execfile|compile|__import__|breakpoint)$/, 'it runs code'],
  [
    /^(__builtin__|builtins)\.(getattr|setattr|delattr|vars|globals|locals|apply|map|filter|reduce|type|super|memoryview|__dict__.*)$/,
    'it reaches any attribute or function',
  ],
  [/^(__builtin__|builtins)\.(open|file|input|raw_input)$/, 'it reads or writes files'],
  [/^torch\.(load|hub\..*|jit\.load|classes\..*|ops\..*)$/, 'it loads other code or pickles'],
  [
    /^torch\.(serialization\.load|storage\._load_from_bytes|utils\.model_zoo\..*)$/,
    'it reads another pickle',
  ],
  [
    /^torch\..*\b(collect_env|cpp_extension|bottleneck|codecache|execWrapper|GuardBuilder|load_config|basichandlers|rpc|_dynamo|_inductor)\b/,
    'it runs code',
  ],
  [
    /^numpy\.(load|testing|f2py|distutils|ctypeslib|fromfile|memmap|savetxt|DataSource)\b/,
    'it runs code, or reads or writes files',
  ],
  [
    /^pandas\.(eval|read_.*|io\..*|core\.computation\..*)$/,
    'it runs code, or reads another pickle',
  ],
  [
    /\.__(reduce|reduce_ex|globals|subclasses|builtins|import|class|bases|mro|getattribute|code)__\b/,
    'it reaches any attribute or function',
  ],
];

/** The harm that something can do which a pickle names or calls; `undefined` where none is known. */
export function dangerOf(what: PyGlobal | PyCall): string | undefined {
  const global = what instanceof PyCall ? what.root : what;
  if (!(global instanceof PyGlobal)) return undefined;
  if (global.module === 'pickle' && global.name === 'BUILD') {
    return builtOf(what) instanceof PyGlobal ? 'it changes a class or a function' : undefined;
  }
  const [topLevel] = global.module.split('.', 1);
  const byModule = HARM_BY_MODULE.get(topLevel);
  if (byModule !== undefined) return byModule;
  const path = global.path.slice(0, 1000);
  const known = harmOfFunction(path);
  if (known !== undefined || !global.name.includes('.')) return known;
  // An attribute of an attribute: of "serialization.os.system" the module is what it has imported.
  for (const part of global.name.slice(0, 1000).split('.')) {
    const harm = HARM_BY_MODULE.get(part) ?? harmOfFunction(`builtins.${part}`);
    if (harm !== undefined) return harm;
  }
  return 'it reaches any attribute or function';
}

function harmOfFunction(path: string): string | undefined {
  return DANGEROUS_FUNCTIONS.find(([name]) => name.test(path))?.[1];
}

function builtOf(what: PyGlobal | PyCall): Value | undefined {
  const args = what instanceof PyCall ? what.args : undefined;
  return args !== undefined && typeof args === 'object' && args !== null && 'items' in args
    ? args.items[0]
    : undefined;
}
