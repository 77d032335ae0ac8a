/** What viewers are shown when a transform cannot go on. */
import { z } from "zod";

/**
 * lastFrame: the last generated picture stays for a while · blur: the camera, blurred by the engine
 * until nothing can be read, where the engine lives · avatar: no picture · original: the camera, for
 * who does not hide the room.
 */
export const FALLBACKS = ["lastFrame", "blur", "avatar", "original"] as const;
export type Fallback = (typeof FALLBACKS)[number];

export const fallbackOrderSchema = z
  .array(z.enum(FALLBACKS))
  .min(1)
  .max(FALLBACKS.length)
  .refine((order) => new Set(order).size === order.length, {
    error: "expected each fallback at most once",
  });

export const DEFAULT_FALLBACK: readonly Fallback[] = ["lastFrame", "original"];

/**
 * What is shown once the last frame has stood long enough.
 * @param originalAllowed by the privacy policy of this instant
 */
export function pictureAfterGrace(
  order: readonly Fallback[],
  originalAllowed: boolean,
): "original" | "none" | "lastFrame" {
  for (const fallback of order) {
    if (fallback === "original" && originalAllowed) return "original";
    if (fallback === "avatar") return "none";
  }
  return order.includes("lastFrame") ? "lastFrame" : "none";
}
