# The worker, bundled, on the Node it was tested with. Another base, or this one by its digest:
# docker build --build-arg NODE_IMAGE=node:24-slim@sha256:...
ARG NODE_IMAGE=node:24-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json rolldown.config.ts ./
COPY src ./src
RUN npm run build

FROM ${NODE_IMAGE}
LABEL org.opencontainers.image.title="run-watchdog" \
      org.opencontainers.image.description="Finds agent runs stuck in RUNNING past their deadline and writes what happened." \
      org.opencontainers.image.licenses="MIT"
ENV NODE_ENV=production
WORKDIR /app
COPY package.json ./
COPY drizzle ./drizzle
COPY --from=build --chmod=755 /app/dist ./dist
# For whoever looks into a container: `kubectl exec ... -- run-watchdog status`.
RUN ln -s /app/dist/main.js /usr/local/bin/run-watchdog
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
