/** Whether the browser may be asked for camera and microphone without a click of the person. */

/** What this needs of `navigator.permissions`. */
export type PermissionAccess = Pick<Permissions, "query">;

/**
 * True where both devices are allowed already, so that opening them asks nobody. Browsers that do
 * not tell (Firefox knows no such permission by name) count as not allowed: the person clicks.
 */
export async function alreadyAllowed(permissions: PermissionAccess | undefined): Promise<boolean> {
  if (permissions === undefined) return false;
  try {
    const names = ["camera", "microphone"] as PermissionName[];
    const answers = await Promise.all(names.map((name) => permissions.query({ name })));
    return answers.every(({ state }) => state === "granted");
  } catch {
    return false;
  }
}
