#!/bin/sh
# Stands for `trueline` in tests of the gate: what `run` does follows from its seed, what `replay` does from replay.json beside this file.
here=$(dirname "$0")
command=$1
shift
while [ $# -gt 0 ]; do
  case $1 in
    --store) store=$2; shift ;;
    --seed) seed=$2; shift ;;
    --name) name=$2; shift ;;
    --times) times=$2; shift ;;
    --parent | --time) shift ;;
    --*) ;;
    *) run=$1 ;;
  esac
  shift
done

# Leaves the verdict behind that was prepared, for the run of this name.
leave() {
  mkdir -p "$store/$name/data"
  sed "s/RUN/${2:-$name}/; s/SEED/$seed/" "$here/$1.json" >"$store/$name/verdict.json"
}

# Fails once for each seed.
fail_first() {
  if mkdir "$here/failed-$seed" 2>/dev/null; then
    echo 'no network namespace today'
    exit 255
  fi
}

if [ "$command" = replay ]; then
  [ -f "$here/replay.json" ] || { echo 'nothing to replay with' >&2; exit 254; }
  sed "s/RUN/$run/; s/TIMES/$times/" "$here/replay.json"
  exit 1
fi
case $seed in
  1) leave valid ;;
  2) leave invalid; exit 1 ;;
  3) leave unknown; exit 2 ;;
  4) leave vacuous; exit 3 ;;
  5) echo 'no disk space'; exit 255 ;;
  6) sleep 600 ;;
  7) fail_first; leave valid ;;
  8) leave valid; exit 255 ;;
  9) exit 0 ;;
  10) echo 'there is no such server'; exit 254 ;;
  11) leave invalid; kill -9 $$ ;;
  12) echo 'no room for the verdict'; exit 1 ;;
  13) leave valid 20260101-000000-0000 ;;
  14) fail_first; leave invalid; exit 1 ;;
  15) leave broken; exit 255 ;;
  16) mkdir -p "$store/$name"; echo '{' >"$store/$name/verdict.json"; exit 1 ;;
  17) leave valid; exit 1 ;;
  18)
    # Wants the machine to itself.
    mkdir "$here/alone" || exit 255
    sleep 0.5
    rmdir "$here/alone"
    leave valid
    ;;
  *) leave valid ;;
esac
