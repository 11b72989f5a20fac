/** A file as the hub describes it. */
export interface RemoteFile {
  readonly path: string;
  readonly type: string;
  readonly size: number;
  /** Git's. */
  readonly oid?: string;
  readonly lfs?: { readonly oid: string; readonly size: number };
}

interface Request {
  hubUrl?: string;
  accessToken?: string;
  fetch: typeof fetch;
  revision: string;
}

/** What is used of `@huggingface/hub`, whose own declarations do not stand every compiler's checks. */
export interface HubLibrary {
  getHFHubCachePath(): string;
  getRepoFolderName(id: { name: string; type: 'model' }): string;
  modelInfo(
    asked: Request & { name: string; additionalFields: ['sha'] },
  ): Promise<{ sha?: string }>;
  pathsInfo(asked: Request & { repo: string; paths: string[] }): Promise<RemoteFile[]>;
  downloadFile(asked: Request & { repo: string; path: string }): Promise<Blob | null>;
}

const LIBRARY: string = '@huggingface/hub';

/**
 * The library, when it is needed: it is an optional peer dependency.
 * @throws {Error} ERR_MODULE_NOT_FOUND, with what to install
 */
export async function hubLibrary(): Promise<HubLibrary> {
  try {
    return await import(LIBRARY);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    const message = `fromHub needs ${LIBRARY}: npm install ${LIBRARY}`;
    throw Object.assign(new Error(message, { cause }), { code: 'ERR_MODULE_NOT_FOUND' });
  }
}
