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

/** The server's reasons are clauses for logs and people alike: here they stand alone. */
function sentence(clause: string): string {
  if (clause === "") return "";
  const [first = "", ...rest] = clause;
  return `${first.toUpperCase()}${rest.join("")}${/[.!?…]$/u.test(clause) ? "" : "."}`;
}

const WAITING_REASON = "The first repainted frames are on their way.";

/** What a tile shows of a person, why, and in which words. */
export function pictureState(person: Person): PictureState {
  const { video, transform, hideOriginal } = person.info;
  const state = transform?.state ?? "off";
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
    if (state === "fallback" || state === "stopped") {
      return {
        show: "held",
        label: "Picture held",
        reason: reason || "New frames will follow when the engine is back.",
        tone: "warn",
      };
    }
    return { show: "generated", label: "Generated", reason, tone: "live" };
  }
  if (video === "original") {
    switch (state) {
      case "starting":
        return {
          show: "original",
          label: "Original, new look starting",
          reason: reason || WAITING_REASON,
          tone: "waiting",
        };
      case "fallback":
        return {
          show: "original",
          label: "Original for now",
          reason: reason || "The engine cannot repaint at the moment.",
          tone: "warn",
        };
      default:
        return { show: "original", label: "Original", reason: "", tone: "plain" };
    }
  }
  if (state === "fallback") {
    return {
      show: "held",
      label: "Waiting for the engine",
      reason: reason || "The camera stays hidden until the picture is repainted again.",
      tone: "warn",
    };
  }
  if (transform !== null && state !== "off" && state !== "stopped") {
    return {
      show: "none",
      label: "Waiting for the new look",
      reason: reason || WAITING_REASON,
      tone: "waiting",
    };
  }
  if (hideOriginal) {
    return {
      show: "none",
      label: "Room hidden",
      reason: "The camera is shown only when it is repainted.",
      tone: "plain",
    };
  }
  return { show: "none", label: "Camera off", reason: "", tone: "plain" };
}
