import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Notice } from "../state.ts";
import { Icon } from "./icons.tsx";

interface NoticesProps {
  notices: readonly Notice[];
  onDismiss(id: string): void;
}

/** What the person should know now, newest last. */
export function Notices({ notices, onDismiss }: NoticesProps): JSX.Element {
  const list = useRef<HTMLDivElement>(null);
  const newest = notices.at(-1);
  useEffect(() => {
    // On a small screen the button that led here may be far below the notice.
    if (newest?.tone === "error") list.current?.scrollIntoView({ block: "nearest" });
  }, [newest]);
  return (
    <div class="notices" aria-live="polite" ref={list}>
      {notices.map((notice) => (
        <div
          key={notice.id}
          class={`notice notice-${notice.tone}`}
          role={notice.tone === "error" ? "alert" : "status"}
          data-notice={notice.id}
        >
          <p>{notice.text}</p>
          <button type="button" aria-label="Dismiss" onClick={() => onDismiss(notice.id)}>
            <Icon name="close" />
          </button>
        </div>
      ))}
    </div>
  );
}
