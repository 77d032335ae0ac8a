import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

/** The server that a development page talks to; `npm start` listens there. */
const server = process.env.DRIFTLESS_SERVER ?? "http://127.0.0.1:3000";

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "dist",
    emptyOutDir: true,
    // Chromium 111, Firefox 120 and Safari 16.4 are the oldest that mediasoup-client drives.
    target: "es2022",
    // The page is served by our own server beside the API: one small bundle loads fastest.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 800,
  },
  server: {
    port: 3300,
    host: "127.0.0.1",
    proxy: {
      "/api": server,
      // The server refuses connections from pages of other origins: speak as its own page does.
      "/socket.io": {
        target: server,
        ws: true,
        rewriteWsOrigin: true,
        headers: { origin: server },
      },
    },
  },
});
