# The worker, bundled, on the Node it was tested with. Another base, or this one by its digest:
# docker build --build-arg NODE_IMAGE=node:24-slim@sha256:...
ARG NODE_IMAGE=node:24-slim

# On the architecture of the machine that builds: what it makes is the same for every one. Builders before BuildKit set no
# BUILDPLATFORM; theirs is the only one that they know.
FROM --platform=${BUILDPLATFORM:-linux} ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json rolldown.config.ts ./
COPY src ./src
RUN npm run build
COPY drizzle ./drizzle
# For whoever looks into a container: `kubectl exec ... -- run-watchdog status`.
RUN mkdir -p /image/app /image/usr/local/bin && cp -r package.json dist drizzle /image/app/ && \
    ln -s /app/dist/main.js /image/usr/local/bin/run-watchdog && \
    chmod -R a+rX /image && chmod a+x /image/app/dist/main.js

# Nothing runs in here while it is built, so that no other architecture has to be emulated.
FROM ${NODE_IMAGE}
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /image/ /
# Nothing is written at run time: works with a read-only root file system and any uid. A number, because Kubernetes cannot
# tell whether a name is root.
USER 1000:1000
EXPOSE 9464
# It reads WATCHDOG_HEALTH_HOST and WATCHDOG_HEALTH_PORT as the worker does.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
  CMD ["node", "/app/dist/main.js", "healthcheck"]
# The limits that the program would start itself again with, for glibc and V8.
ENV MALLOC_ARENA_MAX=1 MALLOC_TRIM_THRESHOLD_=131072
ENTRYPOINT ["node", "--max-semi-space-size=16", "--heap-growing-percent=60", "/app/dist/main.js"]
CMD ["run"]
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE=https://github.com/run-watchdog/run-watchdog
LABEL org.opencontainers.image.title="run-watchdog" \
      org.opencontainers.image.description="Finds agent runs stuck in RUNNING past their deadline and writes what happened." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
