/** What an invitation seems to allow, so that the lobby asks for no camera that nobody may see. */

/**
 * Reads the grants in a token's payload without checking anything: the server decides. True where
 * the token says in so many words that it does not allow sending; unreadable ones may.
 */
export function isViewOnly(token: string | null): boolean {
  const payload = token?.split(".")[1];
  if (payload === undefined) return false;
  try {
    const base64 = payload.replaceAll("-", "+").replaceAll("_", "/");
    const claims: unknown = JSON.parse(atob(base64));
    const grants = (claims as { grants?: { publish?: unknown } } | null)?.grants;
    return typeof grants === "object" && grants !== null && grants.publish !== true;
  } catch {
    return false;
  }
}
