// The benchmark harness: `make bench`.
//
// Measures Coalition against peer libraries on the same work, in turns, and prints ratios from one run. What is
// not installed is reported as "not measured".

import Coalition
import CoalitionNet
import Foundation

if CommandLine.arguments.contains("--help") {
  print(Arguments.usage)
  exit(0)
}
// As the peers' scripts do (peers.py).
ProcessMemory.keepFreed()
do {
  try await Harness(Arguments(CommandLine.arguments)).run()
} catch {
  FileHandle.standardError.write(Data("Bench: \(error)\n".utf8))
  exit(error is UsageError ? 2 : 1)
}
