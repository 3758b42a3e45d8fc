FROM node:26-slim AS build
WORKDIR /build
COPY . .
RUN npm ci && npm run build

FROM node:26-slim
WORKDIR /app
COPY --from=build /build/package.json /build/package-lock.json /build/.npmrc /build/LICENSE /build/schema.graphql /build/possible-types.json ./
# What is built for each machine: what reads images.
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force
COPY --from=build /build/dist dist
COPY --from=build /build/assets assets
COPY --from=build /build/examples examples
RUN mkdir /data .compile-cache && chown node:node /data .compile-cache
ENV NODE_ENV=production HOST=0.0.0.0 DATA_DIR=/data NODE_COMPILE_CACHE=/app/.compile-cache
USER node
# What was compiled in a first start is there for all others of the same user.
RUN DATA_DIR=/tmp/first timeout 5 node dist/main.js serve; rm -rf /tmp/first; test -n "$(ls "$NODE_COMPILE_CACHE")"
VOLUME /data
EXPOSE 4000 4001
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:4000/health/live').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/main.js", "serve"]
