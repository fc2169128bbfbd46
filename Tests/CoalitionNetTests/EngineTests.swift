// The engine thread: many tasks, few threads, and an end when it is asked for.

import CoalitionBase
import Foundation
import Glibc
import TestSupport
import Testing

@testable import CoalitionNet

@Suite(.serialized) struct EngineTests {
  private func plan(width: Int, depth: Int) throws -> (plan: Plan, input: String) {
    var random = Seeded(1)
    var net = Net()
    let x = net.input([width])
    var value = x
    for _ in 0..<depth {
      let weight = net.constant(random.tensor([width, width], -0.1...0.1))
      value = net.add("Relu", [net.add("MatMul", [value, weight])])
    }
    net.output(value)
    return (try Plan(try Model(net.graph)), x)
  }

  /// Threads of this process, from /proc/self/status.
  private func threadCount() throws -> Int {
    let file = try #require(fopen("/proc/self/status", "r"))
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, Int32(line.count), file) != nil {
      let text = String(
        decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      if text.hasPrefix("Threads:") {
        return Int(text.dropFirst(8).filter(\.isNumber)) ?? 0
      }
    }
    return 0
  }

  @Test func manyTasksShareOneTeam() async throws {
    let (plan, input) = try plan(width: 128, depth: 4)
    var random = Seeded(2)
    let rows = random.tensor([70, 128])
    let expected = try await plan.run([input: rows])
    let before = try threadCount()
    var most = 0
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for _ in 0..<64 {
        group.addTask {
          let result = try await plan.run([input: rows])
          return result.allSatisfy { identical($0.value, expected[$0.key]) }
        }
      }
      while let same = try await group.next() {
        #expect(same)
        most = max(most, try threadCount())
      }
    }
    // A thread per task would be 64 more. Other tests may start a larger team meanwhile: at most 16 threads.
    let cores = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    #expect(most <= before + cores + 16, "\(before) threads before, \(most) during")
  }

  @Test func aLongRunStopsLongBeforeItsEndWhenItIsCancelled() async throws {
    let (plan, input) = try plan(width: 512, depth: 48)
    var random = Seeded(3)
    let count = 30_000
    let rows = random.tensor([count, 512])
    let progress = RunProgress()
    var options = RunOptions()
    options.progress = progress
    let task = Task { [options] in try await plan.run([input: rows], options) }
    // A thread of its own: Swift's pool may be busy with other tests until the run is over.
    let canceller = Thread {
      while progress.examplesDone == 0 { usleep(200) }
      task.cancel()
    }
    canceller.start()
    let error = await failure { _ = try await task.value }
    #expect(error.code == .cancelled)
    #expect((1..<count / 2).contains(progress.examplesDone), "\(progress.examplesDone)")
  }

  @Test func theTeamSizeComesFromTheEnvironment() async throws {
    // The OpenMP runtime reads its environment once: only what it says can be compared.
    let expected: Int
    if let value = getenv("OMP_NUM_THREADS"), let number = Int(String(cString: value)) {
      expected = number
    } else {
      expected = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    }
    #expect(try Plan.threads(nil) == expected)
    #expect(try Plan.threads(3) == 3)
  }
}
