import type { QueuePlace } from "../protocol.ts";
import type { Person } from "../state.ts";

/** How a tile names what it shows. */
export interface PictureState {
  /** The layer to show; "held" keeps the last generated frame while no new one comes. */
  show: "original" | "generated" | "held" | "none";
  label: string;
  /** Why, where that is not obvious; one sentence or empty. */
  reason: string;
  tone: "plain" | "live" | "waiting" | "warn";
}

/** What only the own tile knows. */
export interface OwnPicture {
  /** A newer look was asked for and is not complete on screen. */
  lookComing: boolean;
  /** The camera is wanted and gives nothing for now. */
  interrupted: boolean;
  /** The person turned the camera off. */
  cameraOff: boolean;
}

/** The server's reasons are clauses for logs and people alike: here they stand alone. */
function sentence(clause: string): string {
  if (clause === "") return "";
  const [first = "", ...rest] = clause;
  return `${first.toUpperCase()}${rest.join("")}${/[.!?…]$/u.test(clause) ? "" : "."}`;
}

const WAITING_REASON = "The first repainted frames are on their way.";

/** Where somebody stands in the line, such as "2nd in line, about 40 s". */
export function queueWords({ position, estimatedWaitSeconds }: QueuePlace): string {
  const place = position === 1 ? "Next in line" : `${ordinal(position)} in line`;
  return estimatedWaitSeconds === null ? place : `${place}, about ${waitOf(estimatedWaitSeconds)}`;
}

function ordinal(number: number): string {
  const teen = number % 100 >= 11 && number % 100 <= 13;
  const ending = teen ? "th" : (["th", "st", "nd", "rd"][number % 10] ?? "th");
  return `${number}${ending}`;
}

function waitOf(seconds: number): string {
  if (seconds < 90) return `${Math.max(5, Math.ceil(seconds / 5) * 5)} s`;
  return `${Math.round(seconds / 60)} min`;
}

/** What a tile shows of a person, why, and in which words. */
export function pictureState(person: Person, own: OwnPicture | null = null): PictureState {
  const picture = pictureOf(person);
  if (own?.interrupted) {
    const reason = "The system took the camera away. It comes back by itself.";
    return { ...picture, label: "Camera interrupted", reason, tone: "warn" };
  }
  if (own?.cameraOff && picture.show === "none") {
    return { show: "none", label: "Camera off", reason: "", tone: "plain" };
  }
  if (own?.lookComing && picture.show === "generated" && picture.tone !== "warn") {
    return { ...picture, label: "New look coming in", tone: "waiting" };
  }
  return picture;
}

function pictureOf(person: Person): PictureState {
  const { video, transform, hideOriginal } = person.info;
  const state = transform?.state ?? "off";
  const queue = person.status?.queue ?? null;
  const reason = sentence(transform?.reason ?? "");

  if (video === "generated") {
    if (state === "degraded") {
      return {
        show: "generated",
        label: "Generated, slowed down",
        reason: reason || "The engine is behind.",
        tone: "warn",
      };
    }
    if (state === "fallback" || state === "stopped" || state === "queued") {
      return {
        show: "held",
        label: "Picture held",
        reason: reason || "New frames will follow when the engine is back.",
        tone: "warn",
      };
    }
    return { show: "generated", label: "Generated", reason, tone: "live" };
  }

  // Where the server shows no picture, none is held either: not for an instant, and whatever the
  // transform does.
  const show = video;
  switch (state) {
    case "queued":
      return {
        show,
        label: "Waiting for a place",
        reason: queue === null ? reason : `${queueWords(queue)}.`,
        tone: "waiting",
      };
    case "starting":
      return {
        show,
        label: show === "original" ? "Original, new look starting" : "Waiting for the new look",
        reason: reason || WAITING_REASON,
        tone: "waiting",
      };
    case "fallback":
      return {
        show,
        label: show === "original" ? "Original for now" : "No picture for now",
        reason:
          reason ||
          (show === "original"
            ? "The engine cannot repaint at the moment."
            : "There is none until the picture is repainted again."),
        tone: "warn",
      };
    case "live":
    case "degraded":
      if (show === "original") break;
      // The camera is off, or what it shows now must not be seen before it is repainted.
      return { show, label: "No picture for now", reason, tone: "waiting" };
    default:
  }
  if (show === "original") return { show, label: "Original", reason: "", tone: "plain" };
  if (hideOriginal) {
    return {
      show,
      label: "Room hidden",
      reason: "The camera is shown only when it is repainted.",
      tone: "plain",
    };
  }
  return { show, label: "Camera off", reason: "", tone: "plain" };
}
