/** Names that clients choose. They end up in URLs and logs, so they are kept plain. */
import { z } from "zod";

export const roomIdSchema = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, "expected 1 to 64 letters, digits, '-' or '_'");

export const identitySchema = z
  .string()
  .regex(/^[A-Za-z0-9_.@-]{1,64}$/, "expected 1 to 64 letters, digits, or one of _ . @ -");
