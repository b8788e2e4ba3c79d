#!/bin/sh
# A relay: reads the event stream of another server and serves it to any number of clients.
#
#     relay.sh URL [OPTIONS OF SSE-PIPE]
#     relay.sh https://origin.example/events --port 6502
#
# Types and IDs stay as they are. If the stream is lost, curl says so, the clients' streams
# are cut, and a new relay fetches the history again: clients reconnect and continue after
# their last ID.

url=${1:?which stream?}
shift
while :; do
    curl -fsSN "$url" | sse-pipe --format sse --at-eof exit "$@"
    sleep 1
done
