#!/usr/bin/env python3
"""Prints a Redis stream as an event stream, from its latest entries on: an entry is the data, as JSON, and has its ID.

    redis-stream.py STREAM [COUNT] | sse-pipe --format sse --at-eof exit

COUNT is how many entries to begin with, 1000 if not told. REDIS_URL says where Redis is, if not on this machine. Wants
Debian's package python3-redis, or PyPI's redis.
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


def main(stream, count="1000"):
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end when sse-pipe does
    sys.stdout.reconfigure(encoding="utf-8")
    url = os.environ.get("REDIS_URL", "redis://localhost:6379")
    server = redis.Redis.from_url(url, decode_responses=True, encoding_errors="replace")
    latest = server.xrevrange(stream, count=int(count))
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
