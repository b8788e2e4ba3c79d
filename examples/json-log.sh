#!/bin/sh
# A log of JSON lines, live: each line's member "type" becomes the type of its event.
#
#     json-log.sh LOG [OPTIONS OF SSE-PIPE]
#     json-log.sh /var/log/shop.json --port 8080
#
# A page then listens to what it wants: source.addEventListener("order", (event) => …).
# (Don't call a type "open" or "error": these are what an EventSource says of its connection.)

log=${1:?which log?}
shift
tail -n 1000 -F "$log" | sse-pipe --event-from /type "$@"
