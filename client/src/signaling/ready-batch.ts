/**
 * Collects "this track is set up" for a moment and tells the server once. A join with fifty people
 * would otherwise answer a hundred announcements one by one and run into the server's limit.
 */

/** How long acknowledgements are collected. */
const COLLECT_MS = 10;
/** First pause before a refused message is sent again; doubled each time. */
const RETRY_MS = 500;
/** Together half a minute: after that the stay itself is in trouble, and joining again tells all. */
const MAX_TRIES = 6;
/** The server takes so many in one message. */
const MAX_IDS = 512;

export interface ReadyBatchOptions {
  /** Sends `consumers:ready`; a rejection is tried again. */
  send(consumerIds: string[]): Promise<unknown>;
  /** So many tracks could not be acknowledged in the end, and why. */
  failed(error: unknown, count: number): void;
  /** setTimeout, or a test's own. Returns what cancels it. */
  after?(delayMs: number, run: () => void): () => void;
}

export class ReadyBatch {
  readonly #options: ReadyBatchOptions;
  readonly #after: (delayMs: number, run: () => void) => () => void;
  readonly #waiting = new Set<string>();
  #cancel: (() => void) | null = null;
  #sending = false;
  #tries = 0;
  #closed = false;

  constructor(options: ReadyBatchOptions) {
    this.#options = options;
    this.#after = options.after ?? afterDelay;
  }

  /** The track is set up. */
  add(consumerId: string): void {
    if (this.#closed) return;
    this.#waiting.add(consumerId);
    if (this.#cancel === null && !this.#sending) this.#schedule(COLLECT_MS);
  }

  /** The track is gone: nothing has to be said about it any more. */
  forget(consumerId: string): void {
    this.#waiting.delete(consumerId);
  }

  close(): void {
    this.#closed = true;
    this.#waiting.clear();
    this.#cancel?.();
  }

  #schedule(delayMs: number): void {
    this.#cancel = this.#after(delayMs, () => {
      this.#cancel = null;
      void this.#flush();
    });
  }

  async #flush(): Promise<void> {
    const ids = [...this.#waiting].slice(0, MAX_IDS);
    if (ids.length === 0) return;
    for (const id of ids) this.#waiting.delete(id);
    this.#sending = true;
    let pauseMs = COLLECT_MS;
    try {
      await this.#options.send(ids);
      this.#tries = 0;
    } catch (error) {
      if (this.#closed) return;
      this.#tries += 1;
      if (this.#tries >= MAX_TRIES) {
        this.#tries = 0;
        this.#options.failed(error, ids.length);
      } else {
        for (const id of ids) this.#waiting.add(id);
        pauseMs = RETRY_MS * 2 ** (this.#tries - 1);
      }
    } finally {
      this.#sending = false;
    }
    if (!this.#closed && this.#waiting.size > 0) this.#schedule(pauseMs);
  }
}

function afterDelay(delayMs: number, run: () => void): () => void {
  const timer = setTimeout(run, delayMs);
  return () => clearTimeout(timer);
}
