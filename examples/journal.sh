#!/bin/sh
# The system's journal: each entry is a JSON text, and its cursor is the ID. The entries are kept in
# a folder, and after a restart it continues after the last of them: none is lost, none is repeated.
#
#     journal.sh DIR [OPTIONS OF SSE-PIPE]
#     journal.sh /var/lib/journal-events --port 8080
#
# journal.service runs it as a service.

store=${1:?which folder?}
shift
last=$(sse-pipe --store "$store" --last-id)
journalctl --follow --output json ${last:+"--after-cursor=$last"} |
    sse-pipe --format json --id-from /__CURSOR --store "$store" --at-eof exit "$@"
