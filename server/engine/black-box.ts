/**
 * What an engine process did last, kept where its crash cannot reach: a file without a name, open in
 * both processes. The engine notes each call into native code before it makes it, a few microseconds
 * of work; the server reads the notes when the process has died.
 *
 * Decoding and painting go on in threads after the call, so a note says who was served last, not who
 * is to blame. That is a good guess to begin with, and no more (see suspicion.ts).
 */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type EngineTrace, NO_TRACE } from "./link/engine-link.ts";

/** Where the child finds the file: after stdin, stdout, stderr and the IPC channel. */
const CHILD_DESCRIPTOR = 4;
const VARIABLE = "DRIFTLESS_BLACK_BOX_FD";

/** A ring of notes: number (4 bytes), phase (1), length of the id (1), id. */
const NOTES = 64;
const HEADER_BYTES = 6;
const MAX_ID_BYTES = 128;
const NOTE_BYTES = HEADER_BYTES + MAX_ID_BYTES;
const BEGUN = 1;
const DONE = 2;

export class BlackBoxWriter {
  readonly #descriptor: number;
  readonly #note = Buffer.alloc(NOTE_BYTES);
  #count = 0;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** The one that the server left open for this process, if any. */
  static fromEnvironment(): BlackBoxWriter | null {
    const descriptor = Number(process.env[VARIABLE]);
    return Number.isInteger(descriptor) && descriptor > 2 ? new BlackBoxWriter(descriptor) : null;
  }

  /** Runs `call` in the session's name; a crash inside of it is known to be that session's. */
  during<T>(sessionId: string, call: () => T): T {
    this.#write(sessionId, BEGUN);
    try {
      return call();
    } finally {
      this.#write(sessionId, DONE);
    }
  }

  #write(sessionId: string, phase: number): void {
    this.#count += 1;
    const length = Math.min(Buffer.byteLength(sessionId), MAX_ID_BYTES);
    this.#note.writeUInt32LE(this.#count >>> 0, 0);
    this.#note.writeUInt8(phase, 4);
    this.#note.writeUInt8(length, 5);
    this.#note.write(sessionId, HEADER_BYTES, length);
    const bytes = HEADER_BYTES + length;
    try {
      writeSync(this.#descriptor, this.#note, 0, bytes, (this.#count % NOTES) * NOTE_BYTES);
    } catch {
      // A full disk costs the notes, not the call.
    }
  }
}

export class BlackBoxReader {
  /** What the child's environment needs. */
  static readonly childEnvironment = { [VARIABLE]: String(CHILD_DESCRIPTOR) };
  /** To be handed to the child as its descriptor number 4. */
  readonly descriptor: number;

  constructor() {
    const folder = mkdtempSync(path.join(tmpdir(), "driftless-engine-"));
    const file = path.join(folder, "black-box");
    this.descriptor = openSync(file, "wx+", 0o600);
    unlinkSync(file);
    rmSync(folder, { recursive: true });
  }

  /** What was noted last, for a process that has ended. */
  read(): EngineTrace {
    const ring = Buffer.alloc(NOTES * NOTE_BYTES);
    try {
      readSync(this.descriptor, ring, 0, ring.length, 0);
    } catch {
      return NO_TRACE;
    }
    const notes = [];
    for (let at = 0; at < ring.length; at += NOTE_BYTES) {
      const number = ring.readUInt32LE(at);
      const length = Math.min(ring.readUInt8(at + 5), MAX_ID_BYTES);
      const start = at + HEADER_BYTES;
      const sessionId = ring.toString("utf8", start, start + length);
      if (number > 0) {
        notes.push({ number, phase: ring.readUInt8(at + 4), sessionId });
      }
    }
    notes.sort((a, b) => b.number - a.number);
    const [last] = notes;
    return {
      inCall: last?.phase === BEGUN ? last.sessionId : null,
      recent: [...new Set(notes.map(({ sessionId }) => sessionId))],
    };
  }

  close(): void {
    closeSync(this.descriptor);
  }
}
