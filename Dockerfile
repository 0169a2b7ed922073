# The worker, bundled, on the Node it was tested with.
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY src ./src
RUN npm run build:main

FROM node:24-slim
LABEL org.opencontainers.image.title="run-watchdog" \
      org.opencontainers.image.description="Finds agent runs stuck in RUNNING past their deadline and writes what happened." \
      org.opencontainers.image.licenses="MIT"
ENV NODE_ENV=production
WORKDIR /app
COPY package.json ./
COPY drizzle ./drizzle
COPY --from=build /app/dist ./dist
# Nothing is written at run time: works with a read-only root file system and any uid.
USER node
EXPOSE 9464
# A port of 0 or `off` has no fixed address to ask: then the orchestrator's own probe is the one that counts.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
  CMD ["node", "-e", "const port = process.env.WATCHDOG_HEALTH_PORT || 9464; if (port === 'off') process.exit(0); fetch(`http://127.0.0.1:${port}/livez`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD ["run"]
