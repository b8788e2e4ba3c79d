#!/usr/bin/env python3
"""Prints a Redis stream as an event stream, from its latest entries on: the data is the entry as JSON, the ID Redis's.

    redis-stream.py STREAM [COUNT | ID] | sse-pipe --format sse --at-eof exit

COUNT is the number of entries to begin with, by default 1000; ID is the entry to begin after. So a restart loses and
repeats nothing:

    redis-stream.py STREAM "$(sse-pipe --store DIR --last-id)" | sse-pipe --format sse --store DIR --at-eof exit

REDIS_URL is the address of Redis, by default this machine. Needs Debian's package python3-redis, or PyPI's redis.
"""

import json
import os
import signal
import sys

import redis


def show(entries):
    for entry, fields in entries:
        print(f"id: {entry}\ndata: {json.dumps(fields, ensure_ascii=False)}\n")
    sys.stdout.flush()


def main(stream, start=""):
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end when sse-pipe does
    sys.stdout.reconfigure(encoding="utf-8")
    url = os.environ.get("REDIS_URL", "redis://localhost:6379")
    server = redis.Redis.from_url(url, decode_responses=True, encoding_errors="replace")
    if "-" in start:
        last = start
    else:
        latest = server.xrevrange(stream, count=int(start or "1000"))
        show(reversed(latest))
        last = latest[0][0] if latest else "0"
    while True:
        answer = server.xread({stream: last}, count=1000, block=2000)
        if not answer:
            print(":", flush=True)  # a comment now and then shows whether anybody still reads
            continue
        [[_, entries]] = answer
        show(entries)
        last = entries[-1][0]


main(*sys.argv[1:])
