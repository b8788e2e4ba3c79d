#!/bin/sh
# A relay: takes the event stream of another server, and serves it to any number of clients.
#
#     relay.sh URL [OPTIONS OF SSE-PIPE]
#     relay.sh https://origin.example/events --port 6502
#
# Types and IDs stay as they are. When the stream is lost, curl says so, the clients' streams
# are cut, and a new relay takes the history up again: clients come back and go on after the
# last ID that they got.

url=${1:?which stream?}
shift
while :; do
    curl -fsSN "$url" | sse-pipe --format sse --at-eof exit "$@"
    sleep 1
done
