/** A set-up step that cannot go on: what is missing, and the command that brings it. */
export class SetupError extends Error {
  /**
   * @param {string} missing one sentence
   * @param {string} fix a command that can be typed as it stands
   */
  constructor(missing, fix) {
    super(missing);
    this.fix = fix;
  }
}

/**
 * Runs named steps in order and prints one line for each, with its time.
 *
 * A step calls `working` before anything slow, so that a wait of minutes explains itself, and
 * returns what it found or made in a few words.
 */
export class Steps {
  /** @param {{ write: (line: string) => void, now: () => number }} io `now` in milliseconds */
  constructor({ write, now }) {
    this.write = write;
    this.now = now;
  }

  /**
   * @template T
   * @param {string} name
   * @param {(working: (what: string) => void) => Promise<{ value: T, detail: string }>} body
   * @returns {Promise<T>}
   */
  async step(name, body) {
    const start = this.now();
    const seconds = () => `${((this.now() - start) / 1000).toFixed(1)} s`;
    try {
      const { value, detail } = await body((what) => this.write(`  … ${name}: ${what}`));
      this.write(`  ✓ ${name}: ${detail} (${seconds()})`);
      return value;
    } catch (error) {
      this.write(`  ✗ ${name}: failed after ${seconds()}`);
      throw error;
    }
  }
}
