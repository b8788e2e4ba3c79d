"""Reads an event stream with httpx-sse: python3 httpx_sse_client.py URL

Prints each event that the library makes as a JSON array [type, data, id]. Comes back after a closed stream, as
httpx-sse's documentation tells its users to do themselves, until it is told 204.
"""

import json
import sys

import httpx
from httpx_sse import connect_sse

last_event_id = ""
with httpx.Client(timeout=60, trust_env=False) as client:
    while True:
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        with connect_sse(client, "GET", sys.argv[1], headers=headers) as source:
            if source.response.status_code == 204:
                break
            source.response.raise_for_status()
            for event in source.iter_sse():
                last_event_id = event.id
                print(json.dumps([event.event, event.data, event.id], ensure_ascii=False, separators=(",", ":")))
