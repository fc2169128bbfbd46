#!/bin/sh
# Feeds mutated files to the readers under AddressSanitizer (libFuzzer of the Swift toolchain).
#
#   Tests/Fuzzing/fuzz.sh                    every reader, 100,000 inputs each
#   Tests/Fuzzing/fuzz.sh npy png            some readers
#   RUNS=1000000 Tests/Fuzzing/fuzz.sh npz   more inputs
#
# Seeds are the fixtures of the tests. A crash leaves its input in .build/fuzz/NAME/ and ends the run with 1.
set -eu
cd "$(dirname "$0")/../.."

# reader, the seeds of its own
table='
npy     *.npy
npz     *.npz
idx     *.idx *.gz
png     *.png
jpeg    *.jpg
json    *.json
result  *.json
onnx    *.onnx
'
runs=${RUNS:-100000}
work=.build/fuzz
mkdir -p "$work"

for source in Sources/CCodecs/*.c; do
  clang -O1 -g -fsanitize=fuzzer-no-link,address -ISources/CCodecs/include -c "$source" \
    -o "$work/$(basename "$source").o"
done
# One module of all sources: the harness reaches internal readers without an import. Of the network only
# the graph is needed.
mkdir -p "$work/sources"
rm -f "$work/sources/"*.swift
for source in Sources/CoalitionBase/*.swift Sources/CoalitionData/*.swift \
  Sources/CoalitionNet/Graph.swift Sources/CoalitionONNX/*.swift Tests/Fuzzing/*.swift; do
  sed 's/^\(public \)\{0,1\}import Coalition\(Base\|Net\)$//' "$source" >"$work/sources/$(basename "$source")"
done
cat >"$work/module.modulemap" <<EOF
module CCodecs { header "$PWD/Sources/CCodecs/include/codecs.h" export * }
EOF
swiftc -O -g -swift-version 6 -parse-as-library -sanitize=fuzzer,address -module-name Fuzzing \
  -package-name coalition \
  -I "$work" "$work"/sources/*.swift "$work"/*.o -lz -lpng16 -ljpeg -o "$work/fuzz" \
  2>"$work/build.log" || { cat "$work/build.log" >&2; exit 1; }

wanted=${*:-all}
echo "$table" | while read -r name patterns; do
  [ -n "$name" ] || continue
  case " $wanted " in *" all "* | *" $name "*) ;; *) continue ;; esac
  corpus="$work/$name"
  mkdir -p "$corpus/seeds" "$corpus/found"
  for fixtures in Tests/*/Fixtures; do
    (cd "$fixtures" && for seed in $patterns; do [ ! -f "$seed" ] || cp "$seed" "$OLDPWD/$corpus/seeds/"; done)
  done
  if COALITION_FUZZ_TARGET=$name nice "$work/fuzz" "$corpus/found" "$corpus/seeds" -runs="$runs" \
    -max_len=8192 -timeout=10 -rss_limit_mb=2048 -seed=1 -artifact_prefix="$corpus/" \
    >"$corpus/log" 2>&1 </dev/null; then
    echo "$name: $(grep '^Done' "$corpus/log")"
  else
    echo "$name: FAILED, see $corpus/log" >&2
    tail -n 30 "$corpus/log" >&2
    exit 1
  fi
done
