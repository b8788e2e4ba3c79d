#!/bin/sh
# A yacht's track in the browser: a recorded GPS (track.nmea), replayed through the real gpsd.
#
#     gps-map.sh [SSE-PIPE] [OPTIONS OF SSE-PIPE]
#     gps-map.sh ../target/release/sse-pipe --port 8080
#
# The essential part is `gpspipe -w | sse-pipe`; the rest simulates a GPS receiver. With a real
# receiver, that line is all you need. Needs Debian's packages gpsd and gpsd-clients.
#
# In the environment: GPS_TRACK, another NMEA file; GPS_CYCLE, the seconds between two
# sentences (0.2; they were recorded at 1).

here=$(cd "$(dirname "$0")" && pwd) || exit
case ${1-} in
'' | -*) sse_pipe=$(command -v sse-pipe) || sse_pipe=$here/../target/release/sse-pipe ;;
*) sse_pipe=$1; shift ;;
esac
for program in "$sse_pipe" gpspipe setsid /usr/bin/gpsfake /usr/sbin/gpsd; do
    command -v "$program" >/dev/null || {
        echo "gps-map: no $program (cargo build --release; apt-get install gpsd gpsd-clients)" >&2
        exit 1
    }
done
track=${GPS_TRACK:-$here/track.nmea}
[ -r "$track" ] || { echo "gps-map: cannot read $track" >&2; exit 1; }

# Ends what was started here and nothing else, and clears up what gpsd leaves lying about:
# a control socket and a shared memory segment. gpsfake and its gpsd are a process group.
fake='' pipe='' tmp='' port=''
stop() {
    trap '' HUP INT TERM
    [ -z "$pipe" ] || kill "$pipe" 2>/dev/null
    [ -z "$fake" ] || kill -s KILL -- "$fake" "-$fake" 2>/dev/null
    wait 2>/dev/null
    [ -z "$tmp" ] || rm -rf "$tmp"
    [ -z "$port" ] || ipcrm -M "$(printf '0x4770%04X' "$port")" 2>/dev/null
}
trap stop EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# A free port for gpsd, by the Python that gpsfake runs under.
tmp=$(mktemp -d) || exit
port=$(/usr/bin/python3 -c 'import socket
print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])') || exit

# -1: once through, then gpsfake and gpsd end, so gpspipe does, and so the whole pipe.
# -p: gpsfake is a client itself and sees gpsd to the end. -i: it waits for a newline on its
# stdin before each sentence, so that none goes out before gpspipe has joined.
# Now and then gpsfake 3.22 fails to tell gpsd of its device, and does not notice: start it again.
mkfifo "$tmp/go" || exit
n=0
until gpspipe -w -n 2 -x 5 "localhost:$port" 2>/dev/null | grep -q '"activated"'; do
    if [ $((n % 60)) = 0 ]; then
        [ -z "$fake" ] || { kill -s KILL -- "$fake" "-$fake"; wait "$fake"; } 2>/dev/null
        TMPDIR=$tmp setsid /usr/bin/gpsfake -1 -q -p -i -c "${GPS_CYCLE:-0.2}" -P "$port" "$track" \
            <>"$tmp/go" >/dev/null 2>"$tmp/log" &
        fake=$!
    fi
    n=$((n + 1))
    if [ $n = 300 ] || ! kill -0 "$fake" 2>/dev/null; then
        echo "gps-map: gpsfake failed:" >&2
        cat "$tmp/log" >&2
        exit 1
    fi
    sleep 0.05
done

go_when_joined() {
    head=
    while IFS= read -r line; do
        head=$head$line'
'
        case $line in *'"class":"WATCH"'*) break ;; esac
    done
    { sed 's/.*//' "$track"; echo; } 1<>"$tmp/go" & # a newline each, and one for the end
    printf %s "$head"
    exec cat
}

# In the background, for a shell heeds signals only while it waits.
gpspipe -w "localhost:$port" | go_when_joined | "$sse_pipe" "$@" &
pipe=$!
wait "$pipe"
