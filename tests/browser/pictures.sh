#!/usr/bin/env bash
# Takes README's pictures of the page, from live pipes, in Chromium: light and dark, and as wide as a phone.
#
#     tests/browser/pictures.sh [FOLDER]        (examples/pictures by itself; takes about 4 minutes)
#
# Needs what tests/run installs, vmstat (procps), and the fonts Inter and JetBrains Mono (fonts-inter,
# fonts-jetbrains-mono), so that the pictures look alike wherever they are taken.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$(mkdir -p "${1-examples/pictures}" && cd "${1-examples/pictures}" && pwd)
cargo build --release
sse_pipe=$PWD/target/release/sse-pipe
for program in vmstat gpsfake chromium node; do
  command -v "$program" >/dev/null || { echo "pictures: no $program" >&2; exit 1; }
done

work=$(mktemp -d)
set -m # each pipe is a process group, which ends as a whole
pipes=()
stop() {
  for pipe in "${pipes[@]}"; do kill -- "-$pipe" 2>/dev/null || :; done
  wait
  rm -rf "$work"
}
trap stop EXIT

cat >"$work/fonts.conf" <<'XML'
<?xml version="1.0"?>
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <match><test name="family"><string>system-ui</string></test>
    <edit name="family" mode="prepend" binding="strong"><string>Inter</string></edit></match>
  <match><test name="family"><string>sans-serif</string></test>
    <edit name="family" mode="prepend" binding="strong"><string>Inter</string></edit></match>
</fontconfig>
XML
export FONTCONFIG_FILE=$work/fonts.conf

# serve NAME COMMAND...: starts a pipe; its address is in $work/NAME.
serve() {
  local name=$1
  shift
  "$@" 2>"$work/$name.err" &
  pipes+=($!)
  until grep -o 'http://localhost:[0-9]*' "$work/$name.err" >"$work/$name"; do sleep 0.1; done
}

# take NAME FILE PATH VIEWPORT OPTIONS EXPRESSION...: a picture, live, once the expressions have come true in turn.
take() {
  local name=$1 file=$2 path=$3 viewport=$4 dark=$5
  shift 5
  local steps=()
  for step in "${@:2}" 'ssePipe.state === "live"'; do steps+=(--then "$step"); done
  node tests/browser/drive.mjs chromium "$(cat "$work/$name")$path" 120 "$1" "${steps[@]}" \
    --viewport "$viewport" $dark --screenshot "$out/$file.png" >"$work/report" || { cat "$work/report" >&2; exit 1; }
  echo "$out/$file.png"
}

gps() { GPS_CYCLE=0.3 exec examples/gps-map.sh "$sse_pipe" --port 0 --history all --at-eof serve; }
machine() { vmstat -n 1 | "$sse_pipe" --port 0 --history all --at-eof serve; }
satellites() { examples/satellites.sh | "$sse_pipe" --port 0 --history all --at-eof serve; }
serve machine machine

unfold='[...document.querySelectorAll(".row")].filter(row => row.textContent.includes("TPV")).at(-12).querySelector(".line").click(), true'
unfolded='document.querySelector(".row.open .detail").offsetHeight > 50'
still='(window.t ??= performance.now()) + 600 < performance.now()'
# The whole track, then a while with it.
sailed='ssePipe.map.positions > 110 && ssePipe.map.ready'
orbited='ssePipe.map.positions > 2000 && ssePipe.map.ready'
fit='document.querySelector(".map-tools button").click(), true'
measured='ssePipe.plot.rows > 45 && ssePipe.plot.drawn > 1'

for dark in "" --dark; do
  serve "satellites$dark" satellites # the same orbits in each
  serve "gps$dark" gps # a voyage for each: it ends
  take "satellites$dark" "map${dark#-}" '/#map' 1280x800 "$dark" "$orbited" "$fit" "$still"
  take "gps$dark" "log${dark#-}" / 1280x800 "$dark" 'ssePipe.rows > 100' "$unfold" "$unfolded" "$still"
  take "gps$dark" "track${dark#-}" '/#map' 1280x800 "$dark" "$sailed" "$fit" "$still"
  take machine "plot${dark#-}" '/#plot' 1280x800 "$dark" "$measured" "$still"
done
serve satellites-phone satellites
take satellites-phone map-phone '/#map' 390x780 "" "$orbited" "$fit" "$still"
serve gps-phone gps
take gps-phone log-phone / 390x780 "" 'ssePipe.rows > 100' "$still"
take machine plot-phone '/#plot' 390x780 "" "$measured" "$still"
