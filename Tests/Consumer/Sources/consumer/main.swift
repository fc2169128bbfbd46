// Builds a small network, runs it, and checks that the engine starts a team of threads.

import Coalition
import Glibc

/// The number of threads of this process.
func threadCount() -> Int {
  guard let file = fopen("/proc/self/status", "r") else { return 0 }
  defer { fclose(file) }
  var line = [CChar](repeating: 0, count: 256)
  while fgets(&line, 256, file) != nil {
    let bytes = line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    let text = String(decoding: bytes, as: UTF8.self)
    if text.hasPrefix("Threads:") {
      return Int(text.dropFirst(8).trimmingPrefix { $0.isWhitespace }.prefix { $0.isNumber }) ?? 0
    }
  }
  return 0
}

let size = 64
let graph = Graph(
  nodes: [
    Node("MatMul", inputs: ["x", "weight"], outputs: ["product"]),
    Node("Relu", inputs: ["product"], outputs: ["y"]),
  ],
  inputs: [Port("x", shape: ["N", 64])], outputs: [Port("y", shape: ["N", 64])],
  constants: [
    "weight": try Tensor(
      shape: [size, size], elements: .float32((0..<size * size).map { $0 % 65 == 0 ? 2 : 0 }))
  ])
let plan = try Plan(Model(graph))
let input = try Tensor(
  shape: [4096, size], elements: .float32((0..<4096 * size).map { Float($0 % 7) - 3 }))

/// Runs with a number of threads, checks the result, and returns the threads that the process has then.
func threadsAfterRun(_ threads: Int) async throws -> Int {
  var options = RunOptions()
  options.threads = threads
  let output = try await plan.run(["x": input], options)["y"]
  guard output?.floats == input.floats.map({ max(2 * $0, 0) }) else {
    print("consumer: wrong result")
    exit(1)
  }
  return threadCount()
}

// Swift's own pool has no more threads than processors; what eight more bring comes from the OpenMP team.
let alone = try await threadsAfterRun(1)
let team = try await threadsAfterRun(8 + Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
print(
  "consumer: right results, \(alone) threads after a run with one and \(team) after one with many")
guard team >= alone + 7 else {
  print("consumer: the engine did not start a team")
  exit(1)
}
