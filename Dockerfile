# Builds from a clean checkout:
#
#   docker build -t leader-demo .
#   docker run --rm -v leader-demo:/var/lib/leader-demo leader-demo --node-id node-1
#
# Nodes that compete share that volume; without -v each container has one of its own,
# and leads alone. It must not be overlayfs, where a crash costs the lease duration.

ARG RUST=1-slim-bookworm
ARG DEBIAN=bookworm-slim

FROM rust:${RUST} AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin leader-demo

FROM debian:${DEBIAN}
# A number, so that it can be seen not to be root.
RUN install -d -o 10001 -g 10001 -m 700 /var/lib/leader-demo
COPY --from=build /src/target/release/leader-demo /usr/local/bin/
USER 10001:10001
ENV LEADER_DEMO_LOCK_DIR=/var/lib/leader-demo
VOLUME /var/lib/leader-demo
# The node gives the lease back, and another leads at once.
STOPSIGNAL SIGTERM
# Somebody leads, this node or another. It asks about the election that the
# environment names: say LEADER_DEMO_LOCK_NAME rather than --lock-name.
HEALTHCHECK --start-period=15s --timeout=5s CMD ["leader-demo", "status"]
ENTRYPOINT ["leader-demo"]
