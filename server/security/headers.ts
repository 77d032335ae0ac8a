/** HTTP headers that keep the page from loading or leaking anything unexpected. */
import helmet from "helmet";

/**
 * The client is served from here and talks to here only: scripts, styles and the
 * WebSocket are same-origin; pictures and media may come from blobs.
 */
export function securityHeaders() {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'self'"],
        scriptSrc: ["'self'"],
        // Preact sets style attributes (tile sizes), which need unsafe-inline.
        styleSrc: ["'self'", "'unsafe-inline'"],
        imgSrc: ["'self'", "data:", "blob:"],
        mediaSrc: ["'self'", "blob:", "mediastream:"],
        // ws: and wss: for browsers in which 'self' does not cover WebSockets.
        connectSrc: ["'self'", "ws:", "wss:"],
        workerSrc: ["'self'", "blob:"],
        objectSrc: ["'none'"],
        baseUri: ["'self'"],
        formAction: ["'self'"],
        frameAncestors: ["'self'"],
      },
    },
    // Plain HTTP on 127.0.0.1 is the default; a proxy with TLS sets HSTS itself.
    strictTransportSecurity: false,
    crossOriginEmbedderPolicy: false,
  });
}
