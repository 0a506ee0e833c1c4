# Caddy with the messaging module, for production:
#
#	docker build -f xcaddy.Dockerfile -t caddymsg:local .
#
# .ci/xcaddy runs the same xcaddy command, taken from this file.

FROM caddy:2.11.9-builder AS builder

# SQLite is C, and the image has no compiler.
RUN apk add --no-cache build-base

WORKDIR /src
COPY . .

# XCADDY_SETCAP=0: a program with a file capability does not start in a
# container that has dropped it. Ports below 1024 are opened to everybody in
# the container instead, by Docker itself or with docker-compose.yml.
ENV CGO_ENABLED=1 XCADDY_SETCAP=0 GOCACHE=/var/cache/go-build
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/var/cache/go-build \
    xcaddy build v2.11.9 --with github.com/caddymsg/messaging/caddymsg --replace github.com/caddymsg/messaging=. --output /usr/bin/caddy

# xcaddy can leave a module out and say nothing.
RUN caddy list-modules | grep -x http.handlers.messaging


FROM caddy:2.11.9

# For backups of the running database.
RUN apk add --no-cache sqlite

COPY --from=builder /usr/bin/caddy /usr/bin/caddy
COPY Caddyfile /etc/caddy/Caddyfile

# The volumes take over this owner when they are made.
RUN addgroup -g 1000 caddy \
    && adduser -D -H -u 1000 -G caddy -s /sbin/nologin caddy \
    && chown -R caddy:caddy /data /config
USER 1000:1000

# The process answers, the module is in it, and its database is open. This does
# not depend on the site's name or its certificate.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD wget -qO- http://127.0.0.1:2019/metrics | grep -q '^messaging_database_connections{.*} [1-9]'
