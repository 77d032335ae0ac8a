/**
 * Keeps the original voice in step with the generated picture.
 *
 * The picture arrives later than the voice by what the transform takes. The browser's own lip
 * sync closes such a gap by only 25 to 80 ms a second, so the audio receiver is told the delay
 * that the server measured, and the browser corrects the rest from the sender reports.
 */

/** Browsers hold back audio by 3 s at most; asking for more throws. */
const MAX_TARGET_MS = 3_000;
/**
 * Each change makes the voice run faster or slower for a while: small ones, in ms or as a share of
 * the delay, are left to the browser's own sync.
 */
const STEP_MS = 40;
const STEP_SHARE = 0.15;

/**
 * The new `jitterBufferTarget` in ms, or null for the browser's own choice.
 * @param shown what viewers see of the participant
 * @param transform null without one; its delay from capture to the generated frame leaving the
 *   engine is null while unknown
 * @param current the target that is set now
 */
export function audioTarget(
  shown: "original" | "generated" | "none",
  transform: { delayMs: number | null } | null,
  current: number | null,
): number | null {
  if (shown === "original" || transform === null) return null;
  // While nothing is shown the voice keeps its timing: the picture is about to come back.
  if (shown === "none") return current;
  const { delayMs } = transform;
  if (delayMs === null || !Number.isFinite(delayMs)) return current;
  const wanted = Math.round(Math.min(Math.max(delayMs, 0), MAX_TARGET_MS));
  if (current === null) return wanted;
  const step = Math.max(STEP_MS, STEP_SHARE * current);
  return Math.abs(wanted - current) < step ? current : wanted;
}

/** Sets the receiver's target; browsers without the property rely on sender reports alone. */
export function applyAudioTarget(receiver: RTCRtpReceiver, targetMs: number | null): void {
  if ("jitterBufferTarget" in receiver && receiver.jitterBufferTarget !== targetMs) {
    receiver.jitterBufferTarget = targetMs;
  }
}
