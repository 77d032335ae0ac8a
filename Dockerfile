# Driftless in a container. Every step of the set-up is scripts/setup.mjs, the one that `npm start`
# runs on a machine; the Debian packages come from scripts/system-packages.json.
#
#   docker build -t driftless .
#   docker build -t driftless --build-arg DRIFTLESS_ARCH=x86-64-v4 .   # for processors with AVX-512

ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
# Instructions that the native engine may use; "native" would tie the image to the building machine.
ARG DRIFTLESS_ARCH=x86-64-v3
ENV DRIFTLESS_ARCH=${DRIFTLESS_ARCH} XDG_CACHE_HOME=/cache
WORKDIR /app
COPY . .
# Brings the Debian packages, npm packages and mediasoup's worker, builds the engine and the page.
RUN node scripts/setup.mjs start
RUN cp /cache/driftless/mediasoup-worker/*/mediasoup-worker build/mediasoup-worker \
    && npm prune --omit=dev --ignore-scripts --no-fund --no-audit

FROM ${NODE_IMAGE}
WORKDIR /app
COPY --from=build /app/scripts scripts
COPY --from=build /app/package.json /app/package-lock.json ./
# The libraries that the worker and the engine link against, without their headers and compilers.
RUN node scripts/setup.mjs runtime && rm -rf /var/lib/apt/lists/*
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/build/mediasoup-worker build/mediasoup-worker
COPY --from=build /app/build/native/driftless.node build/native/driftless.node
COPY --from=build /app/client/dist client/dist
COPY --from=build /app/config config
COPY --from=build /app/models models
COPY --from=build /app/server server
COPY --from=build /app/LICENSE /app/NOTICE ./

ENV NODE_ENV=production \
    MEDIASOUP_WORKER_BIN=/app/build/mediasoup-worker \
    DRIFTLESS__HTTP__HOST=0.0.0.0 \
    DRIFTLESS__SFU__LISTENIP=0.0.0.0
USER node
EXPOSE 3000/tcp 40000-40007/udp 40000-40007/tcp
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:3000/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
STOPSIGNAL SIGTERM
CMD ["node", "server/main.ts"]
