// Runs the ONNX project's node tests that node_tests.py has written.
//
//     swift run -c release NodeTests DIRECTORY
//
// Every case is one operator with inputs and expected outputs. It is run with its tensors split between constants
// and inputs of the model in each way that makes sense, one example at a time, since a case has no axis of examples.
// A case passes when some split is accepted and every one that is gives the expected numbers; it is refused when
// none is. Numbers are compared as numbers: programs compute in floating point whatever a tensor's type is.

import CoalitionBase
import CoalitionData
import CoalitionNet
import CoalitionONNX

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

guard CommandLine.arguments.count == 2 else {
  print("usage: NodeTests DIRECTORY")
  exit(64)
}
do {
  let cases = try ConformanceCase.read(CommandLine.arguments[1])
  var counts = (passed: 0, refused: 0, wrong: 0)
  for test in cases {
    switch await test.run() {
    case .passed: counts.passed += 1
    case .refused(let reason):
      counts.refused += 1
      print("refused  \(test.name): \(reason)")
    case .wrong(let reason):
      counts.wrong += 1
      print("WRONG    \(test.name): \(reason)")
    }
  }
  print("\(counts.passed) passed, \(counts.refused) refused, \(counts.wrong) wrong")
  exit(counts.wrong == 0 && counts.passed > 0 ? 0 : 1)
} catch {
  print("NodeTests: \(error)")
  exit(66)
}
