#!/bin/sh
# A JSON log, live: the member "type" of each line becomes the type of its event.
#
#     json-log.sh LOG [OPTIONS OF SSE-PIPE]
#     json-log.sh /var/log/shop.json --port 8080
#
# A page then listens to the types it wants: source.addEventListener("order", (event) => …).
# (Don't call a type "open" or "error": an EventSource uses these for its connection.)

log=${1:?which log?}
shift
tail -n 1000 -F "$log" | sse-pipe --event-from /type "$@"
