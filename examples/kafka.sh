#!/bin/sh
# A partition of a Kafka topic, from its latest thousand messages on: the message is the data,
# its key the event type, its offset the ID. Needs Debian's package kcat.
#
#     kafka.sh BROKER TOPIC [OPTIONS OF SSE-PIPE]
#     kafka.sh localhost:9092 orders --port 8080
#
# With STORE=DIR in the environment, it keeps the messages there (--store), and continues after the
# last of them when it is started again.
#
# Every sse-pipe that reads this partition gives the same IDs, so a client may reconnect to any
# of them. Kafka keeps the order only within a partition, so this script reads one.

broker=${1:?which broker?}
topic=${2:?which topic?}
shift 2
from=-1000
if [ -n "$STORE" ]; then
    last=$(sse-pipe --store "$STORE" --last-id) && from=$((last + 1))
    set -- --store "$STORE" "$@"
fi
kcat -C -b "$broker" -t "$topic" -p 0 -o "$from" -u -q -J |
    sse-pipe --event-from /key --id-from /offset --data-from /payload --at-eof exit "$@"
