import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { root } from "./paths.mjs";

/**
 * All files below the given files and folders, in a fixed order.
 * @param {string[]} paths absolute; those that do not exist are left out
 * @param {(path: string) => boolean} [keep] asked for files and folders
 * @returns {string[]}
 */
export function listFiles(paths, keep = () => true) {
  /** @type {string[]} */
  const files = [];
  for (const path of paths) {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (!stat || !keep(path)) continue;
    if (stat.isDirectory()) {
      const children = readdirSync(path).map((name) => join(path, name));
      files.push(...listFiles(children, keep));
    } else {
      files.push(path);
    }
  }
  return files.sort();
}

/**
 * One hash over names (as seen from the checkout) and contents of files and any further facts that the result depends on.
 * @param {string[]} files absolute
 * @param {string[]} [facts]
 * @returns {string} 16 hexadecimal digits
 */
export function fingerprint(files, facts = []) {
  const hash = createHash("sha256");
  for (const fact of facts) hash.update(`${fact}\0`);
  for (const file of files) {
    hash.update(`${relative(root, file)}\0`);
    hash.update(createHash("sha256").update(readFileSync(file)).digest());
  }
  return hash.digest("hex").slice(0, 16);
}

/** Remembers for each step the fingerprint of the inputs that its result was made from. */
export class Stamps {
  /** @param {string} file JSON; missing or damaged means that nothing has been done */
  constructor(file) {
    this.file = file;
  }

  /**
   * @param {string} name
   * @returns {string | undefined}
   */
  get(name) {
    return this.#read()[name];
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  matches(name, value) {
    return this.get(name) === value;
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  set(name, value) {
    const stamps = { ...this.#read(), [name]: value };
    mkdirSync(dirname(this.file), { recursive: true });
    // Written beside and renamed, so that a process killed here leaves a whole file.
    const temporary = `${this.file}.${process.pid}`;
    writeFileSync(temporary, `${JSON.stringify(stamps, null, 2)}\n`);
    renameSync(temporary, this.file);
  }

  /** @returns {Record<string, string>} */
  #read() {
    try {
      return JSON.parse(readFileSync(this.file, "utf8"));
    } catch {
      return {};
    }
  }
}
