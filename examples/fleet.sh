#!/bin/sh
# A fleet on one machine: several sse-pipe read one Redis stream, and HAProxy distributes the
# clients. Needs Debian's packages haproxy, redis-server, python3-redis.
#
#     fleet.sh STREAM [PORT [PORT OF AN INSTANCE]...]
#     fleet.sh clicks 8080 6502 6503 6504
#
# Then open http://localhost:8080/, let `redis-cli XADD clicks '*' page /index.html` run now and
# then, and kill an instance: its clients reconnect to another one and continue where they were.

stream=${1:?which stream?}
port=${2:-8080}
[ $# -lt 3 ] || { shift 2 && instances=$*; }
here=$(cd "$(dirname "$0")" && pwd) || exit
PATH=$PATH:/usr/sbin # where Debian keeps servers

tmp=$(mktemp -d) || exit
pids=''
trap 'kill $pids 2>/dev/null; rm -rf "$tmp"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

cat >"$tmp/haproxy.cfg" <<END
defaults
    mode http
    timeout connect 1s
    timeout client 1m
    timeout server 1m

frontend web
    bind 127.0.0.1:$port
    default_backend events

backend events
    balance leastconn
    option http-no-delay
    option redispatch 1
    option httpchk HEAD /events
    default-server check inter 1s fall 2 on-marked-down shutdown-sessions
END
for instance in ${instances:-6502 6503 6504}; do
    "$here/redis-stream.py" "$stream" 100000 |
        sse-pipe --format sse --port "$instance" --history all --at-eof exit &
    pids="$pids $!"
    echo "fleet: the instance at port $instance is process $!" >&2
    echo "    server $instance localhost:$instance" >>"$tmp/haproxy.cfg"
done
haproxy -W -db -f "$tmp/haproxy.cfg" &
pids="$pids $!"
wait
