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
plan    *.onnx
'
runs=${RUNS:-100000}
work=.build/fuzz
mkdir -p "$work"

# Kernels are templates in headers: when anything changed, all is compiled again. Their branches follow sizes, not
# bytes: they are checked, but no guide to the fuzzer.
if [ -n "$(find csrc Sources/CCodecs -newer "$work/objects" 2>&1)" ]; then
  compile() { # sanitizers, source
    nice clang -O1 -g -ISources/CCodecs/include -fsanitize="$1" -fsanitize-trap=undefined \
      -c "$2" -o "$work/$(basename "$2").o"
  }
  for source in Sources/CCodecs/*.c; do
    compile fuzzer-no-link,address,undefined "$source"
  done
  for source in csrc/*/*.c; do compile address,undefined "$source"; done
  touch "$work/objects"
fi
# One module of all sources: the harness reaches internal readers without an import.
mkdir -p "$work/sources"
rm -f "$work/sources/"*.swift
find Sources/CoalitionBase Sources/CoalitionData Sources/CoalitionNet Sources/CoalitionONNX Tests/Fuzzing \
  -name '*.swift' | while read -r source; do
  sed 's/^\(public \|package \)\{0,1\}import Coalition\(Base\|Net\)$//' "$source" \
    >"$work/sources/$(basename "$source")"
done
cat >"$work/module.modulemap" <<EOF
module CCodecs { header "$PWD/Sources/CCodecs/include/codecs.h" export * }
module CLanes { umbrella "$PWD/csrc/include" export * }
EOF
nice swiftc -O -wmo -g -swift-version 6 -parse-as-library -sanitize=fuzzer,address -module-name Fuzzing \
  -package-name coalition \
  -I "$work" "$work"/sources/*.swift "$work"/*.o -lz -lpng16 -ljpeg -lomp5 -lm -o "$work/fuzz" \
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
