import { DeviceProblem } from "../media/devices.ts";
import type { ErrorBody, ErrorCode } from "../protocol.ts";

/** The server said no, or did not answer at all (UNREACHABLE). */
export class ServerRefusal extends Error {
  readonly code: ErrorCode | "UNREACHABLE";

  constructor(code: ErrorCode | "UNREACHABLE", message: string) {
    super(message);
    this.name = "ServerRefusal";
    this.code = code;
  }

  /** True where trying the same again a moment later may well work. */
  get mayPass(): boolean {
    return (
      this.code === "UNREACHABLE" ||
      this.code === "ROOM_REBUILT" ||
      this.code === "RATE_LIMITED" ||
      this.code === "SHUTTING_DOWN" ||
      this.code === "INTERNAL"
    );
  }
}

const SENTENCES: Partial<Record<ServerRefusal["code"], string>> = {
  UNREACHABLE:
    "The server does not answer. Check that it is running and that this computer is online, then try again.",
  TOKEN_MISSING: "This room needs an invitation. Open the full link that you were sent.",
  TOKEN_INVALID: "This invitation is not valid here. Ask for a new link.",
  TOKEN_EXPIRED: "This invitation has expired. Ask for a new link.",
  TOKEN_WRONG_ROOM: "This invitation is for another room. Open the link exactly as you got it.",
  IDENTITY_MISMATCH: "This invitation belongs to somebody else. Ask for one of your own.",
  IDENTITY_IN_USE:
    "You are already in this room, in another tab or on another device. Leave there first, then try again.",
  ROOM_NOT_FOUND: "This room does not exist. Check the link, or ask for a new one.",
  ROOM_FULL: "This room is full. Try again when somebody has left.",
  TOO_MANY_ROOMS: "The server has no space for another room. Try again later.",
  RATE_LIMITED: "Too many attempts in a short time. Wait a moment, then try again.",
  TOO_MANY_PENDING: "Too many changes at once. Wait a moment, then try again.",
  UNSUPPORTED_CODEC:
    "This browser offers no video format that the server knows (VP8 or H.264). Try a current Chrome, Edge, Firefox or Safari.",
  NO_VIDEO: "Turn the camera on first: there is no picture to repaint.",
  ENGINE_FULL: "The server repaints as many pictures as it can. Try again in a while.",
  ENGINE_UNAVAILABLE: "The server's picture engine is not running. The room works without it.",
  SHUTTING_DOWN: "The server is restarting. This page joins again by itself.",
};

/** A sentence for the person at the screen, for anything that can be thrown here. */
export function describeError(error: unknown): string {
  if (error instanceof DeviceProblem) return error.message;
  if (error instanceof ServerRefusal) {
    const sentence = SENTENCES[error.code];
    // Refusals that depend on what was sent (a prompt too long …) explain themselves.
    return sentence ?? error.message;
  }
  if (error instanceof Error) return `Something went wrong: ${error.message}`;
  return `Something went wrong: ${String(error)}`;
}

/**
 * Why a connection failed. A refusal by the server carries its code in `data`; anything else means
 * that the server could not be reached.
 */
export function refusalOf(error: Error & { data?: unknown }): ServerRefusal {
  const data = error.data as Partial<ErrorBody> | undefined;
  if (data?.code !== undefined) return new ServerRefusal(data.code, data.message ?? error.message);
  return new ServerRefusal("UNREACHABLE", error.message);
}
