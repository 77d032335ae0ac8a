/**
 * The state of a session, decided from what was measured: starting, live, degraded, fallback,
 * stopped. Pure and with hysteresis: a verdict must hold for a while before it becomes the state,
 * so that one late chunk alarms nobody.
 */
import type { ServiceLevel, SessionState, StateCause } from "../protocol.ts";

export interface SessionSample {
  /** Monotonic. */
  nowMs: number;
  /** When the last whole frame came in and the last generated one went out; null: never. */
  lastInputMs: number | null;
  lastOutputMs: number | null;
  /** Frames a second over the last seconds. */
  inputFps: number;
  outputFps: number;
  /** What the output should reach: the least of model, setting and camera. */
  expectedFps: number;
  framesPerChunk: number;
  /** Median capture-to-sent delay, null without recent frames. */
  delayMs: number | null;
  /** What the engine's scheduler gives the session; it has its own hysteresis. */
  level: ServiceLevel;
}

/** A state with who is to blame and a reason for people. */
export interface Standing {
  state: SessionState;
  cause: StateCause;
  reason: string;
}

interface Verdict extends Standing {
  /** How long it must hold before it becomes the state. */
  holdMs: number;
}

/** Without input for so long a picture counts as gone. */
export const NO_INPUT_MS = 2000;
/** Without output for so long, although there is input. Longer for cameras of few frames. */
const NO_OUTPUT_MS = 2000;
/** Patience before the very first frame: model warm-up, key frame request, first chunk. */
const START_PATIENCE_MS = 10_000;
const START_INPUT_PATIENCE_MS = 4000;
/** Below this share of the expected rate the session is slower than promised ... */
const SLOW_SHARE = 0.75;
/** ... and above this one it is not any more. */
const RECOVERED_SHARE = 0.85;
/** Median delay above which a conversation suffers, and below which it is fine again. */
const DELAY_HIGH_MS = 1500;
const DELAY_LOW_MS = 1000;
const DEGRADE_HOLD_MS = 2000;
const RECOVER_HOLD_MS = 3000;
const RESUME_HOLD_MS = 500;

const LIVE: Verdict = { state: "live", cause: "none", reason: "", holdMs: 0 };
const NO_INPUT: Verdict = {
  state: "fallback",
  cause: "camera",
  reason: "no video arrives from the camera",
  holdMs: 0,
};
const NO_OUTPUT: Verdict = {
  state: "fallback",
  cause: "engine",
  reason: "the engine gives no frames",
  holdMs: 0,
};
const TOO_SLOW: Verdict = {
  state: "degraded",
  cause: "engine",
  reason: "the engine is slower than real time",
  holdMs: DEGRADE_HOLD_MS,
};
const TOO_LATE: Verdict = {
  state: "degraded",
  cause: "engine",
  reason: "the delay is high",
  holdMs: DEGRADE_HOLD_MS,
};

/** Levels below the full one, as states. Nothing to wait for: the scheduler has decided. */
const BY_LEVEL: Record<Exclude<ServiceLevel, "full">, Verdict> = {
  fewerSteps: reduced("degraded", "the engine is busy: pictures are made in fewer steps"),
  lowerRate: reduced("degraded", "the engine is busy: fewer pictures a second are made"),
  smallerPicture: reduced("degraded", "the engine is busy: smaller pictures are made"),
  fallback: reduced("fallback", "the engine is too busy to make new pictures"),
};

function reduced(state: SessionState, reason: string): Verdict {
  return { state, cause: "engine", reason, holdMs: 0 };
}

export class SessionStateMachine {
  readonly #onChange: (standing: Standing) => void;
  readonly #startedAtMs: number;
  #standing: Standing = { state: "starting", cause: "none", reason: "" };
  #pending: { verdict: Verdict; sinceMs: number } | null = null;

  constructor(startedAtMs: number, onChange: (standing: Standing) => void) {
    this.#startedAtMs = startedAtMs;
    this.#onChange = onChange;
  }

  get state(): SessionState {
    return this.#standing.state;
  }

  update(sample: SessionSample): void {
    if (this.state === "stopped") {
      return;
    }
    const verdict = this.#judge(sample);
    if (verdict.state === this.state) {
      this.#pending = null;
      this.#enter(verdict);
      return;
    }
    if (this.#pending?.verdict.state !== verdict.state) {
      this.#pending = { verdict, sinceMs: sample.nowMs };
    }
    if (sample.nowMs - this.#pending.sinceMs >= verdict.holdMs) {
      this.#pending = null;
      this.#enter(verdict);
    }
  }

  /** The session is over; nothing changes the state any more. */
  stop(reason: string): void {
    this.#enter({ state: "stopped", cause: "none", reason });
  }

  #enter({ state, cause, reason }: Standing): void {
    if (state !== this.#standing.state || reason !== this.#standing.reason) {
      this.#standing = { state, cause, reason };
      this.#onChange(this.#standing);
    }
  }

  #judge(sample: SessionSample): Verdict {
    const { nowMs, lastInputMs, lastOutputMs } = sample;
    const inputAgeMs = lastInputMs === null ? null : nowMs - lastInputMs;
    if (lastOutputMs === null) {
      return this.#judgeStart(nowMs - this.#startedAtMs, inputAgeMs);
    }
    if (inputAgeMs === null || inputAgeMs >= NO_INPUT_MS) {
      return NO_INPUT;
    }
    if (sample.level === "fallback") {
      return BY_LEVEL.fallback;
    }
    // A slow camera needs long for a chunk: that alone is no failure.
    const chunkMs = (sample.framesPerChunk * 1000) / Math.max(0.1, sample.inputFps);
    if (nowMs - lastOutputMs >= Math.max(NO_OUTPUT_MS, 2.5 * chunkMs)) {
      return NO_OUTPUT;
    }
    return this.#judgeFlow(sample);
  }

  #judgeStart(ageMs: number, inputAgeMs: number | null): Verdict {
    const noInput = inputAgeMs === null || inputAgeMs >= NO_INPUT_MS;
    if (noInput && ageMs >= START_INPUT_PATIENCE_MS) {
      return NO_INPUT;
    }
    if (ageMs >= START_PATIENCE_MS) {
      return NO_OUTPUT;
    }
    return { state: "starting", cause: "none", reason: "waiting for the first frames", holdMs: 0 };
  }

  #judgeFlow(sample: SessionSample): Verdict {
    // Rates need a few seconds to tell the truth: frames that flow count as live until then.
    if (this.state === "starting") {
      return LIVE;
    }
    if (sample.level !== "full") {
      return BY_LEVEL[sample.level];
    }
    if (this.state === "fallback") {
      return { ...LIVE, holdMs: RESUME_HOLD_MS };
    }
    const degraded = this.state === "degraded";
    const share = sample.expectedFps > 0 ? sample.outputFps / sample.expectedFps : 1;
    if (share < (degraded ? RECOVERED_SHARE : SLOW_SHARE)) {
      return TOO_SLOW;
    }
    if (sample.delayMs !== null && sample.delayMs > (degraded ? DELAY_LOW_MS : DELAY_HIGH_MS)) {
      return TOO_LATE;
    }
    return { ...LIVE, holdMs: degraded ? RECOVER_HOLD_MS : 0 };
  }
}
