// Removal until one example takes a share of the time. Times are what the machine has, so bounds are wide.

import CoalitionBase
import CoalitionNet
import CoalitionPrune
import Synchronization
import TestSupport
import Testing

@Suite struct LatencyTests {
  private let coupling: UnitCoupling

  /// Two dense layers whose weights take all the time.
  init() throws {
    func weights(_ rows: Int, _ columns: Int) throws -> Tensor {
      try Tensor(
        shape: [rows, columns],
        elements: .float32((0..<rows * columns).map { Float($0 % 7) / 100 - 0.03 }))
    }
    let graph = Graph(
      nodes: [
        Node("MatMul", name: "hidden", inputs: ["x", "w1"], outputs: ["z"]),
        Node("Relu", inputs: ["z"], outputs: ["a"]),
        Node("MatMul", name: "out", inputs: ["a", "w2"], outputs: ["y"]),
      ], inputs: [Port("x", shape: [.symbolic("N"), 256])], outputs: [Port("y", shape: nil)],
      constants: ["w1": try weights(256, 4096), "w2": try weights(4096, 256)])
    coupling = try UnitCoupling(try Model(graph))
  }

  private func ranking() throws -> UnitRanking {
    try UnitRanking(coupling, scores: [0: (0..<4096).map(Double.init)])
  }

  @Test func reached() async throws {
    let latency = NetworkLatency(coupling.model)
    let groups = try await ranking().reaching(
      .latency(0.4), limit: 0.4, scope: .layer, latency: latency)
    // Some 60 % of the units.
    #expect(groups.count > 400 && groups.count < 4090, "\(groups.count)")
    let smaller = try coupling.model.rebuilt(try coupling.removing(groups))
    // Other tests run meanwhile, so as often as a report of pruning measures.
    let seconds = try await latency.seconds(smaller, within: 1)
    #expect(seconds.own > 0 && seconds.other > 0 && seconds.other < seconds.own)
  }

  @Test func bounds() async throws {
    let latency = NetworkLatency(coupling.model)
    let nothing = try await ranking().reaching(
      .latency(0.9), limit: 1000, scope: .layer, latency: latency)
    #expect(nothing.isEmpty)
    let impossible = await #expect(throws: CoalitionError.self) {
      try await ranking().reaching(.latency(0.1), limit: 1e-9, scope: .layer, latency: latency)
    }
    #expect(impossible?.code == .invalidData && impossible?.message.contains("so fast") == true)
    let incomplete = await #expect(throws: CoalitionError.self) {
      try await ranking().reaching(.latency(0.1), limit: 0.1, scope: .layer)
    }
    #expect(incomplete?.code == .usage)
  }

  /// Times that are proportional to the hidden units, but for a factor that depends on how often was measured, and those of the
  /// whole network.
  private func latency(
    _ factor: @escaping @Sendable (_ count: Int) -> Double,
    own: @escaping @Sendable (_ count: Int) -> Double = { _ in 1 }
  ) -> NetworkLatency {
    let count = Mutex(0)
    return NetworkLatency { other throws(CoalitionError) in
      let units = other.graph.constants["w2"]?.shape[0] ?? 4096
      let measured = count.withLock {
        $0 += 1
        return $0
      }
      return (own(measured), Double(units) / 4096 * factor(measured))
    }
  }

  @Test("Times that are too short now and then are found out")
  func confirmed() async throws {
    let groups = try await ranking().reaching(
      .latency(0.5), limit: 0.5, scope: .layer, latency: latency { $0 % 2 == 0 ? 0.8 : 1 })
    // No more than half of the units need to go.
    #expect(groups.count == 2048)
    let never = await #expect(throws: CoalitionError.self) {
      try await ranking().reaching(
        .latency(0.5), limit: 0.5, scope: .layer, latency: latency { _ in 9999 })
    }
    #expect(never?.code == .invalidData && never?.message.contains("so fast") == true)
  }

  @Test("Where smaller networks are slower, the larger one that is fast enough is taken")
  func waves() async throws {
    let waves = NetworkLatency { other throws(CoalitionError) in
      let units = other.graph.constants["w2"]?.shape[0] ?? 4096
      return (1, units > 3000 ? 1 : units > 2500 ? 0.45 : units > 1500 ? 0.7 : 0.3)
    }
    let groups = try await ranking().reaching(
      .latency(0.5), limit: 0.5, scope: .layer, latency: waves)
    #expect(groups.count == 4096 - 3000)
  }

  @Test("A time of the whole network that is too long does not make smaller ones seem fast")
  func busy() async throws {
    // After the first one, nine measurements of ten see a busy machine.
    let busy = latency({ _ in 1 }, own: { $0 % 10 == 1 ? 1 : 3 })
    let groups = try await ranking().reaching(
      .latency(0.5), limit: 0.5, scope: .layer, latency: busy)
    #expect(groups.count == 2048)
  }

  @Test("A machine that becomes slower for good does not make networks seem slow")
  func slower() async throws {
    let factor: @Sendable (Int) -> Double = { $0 < 4 ? 1 : 2.5 }
    let slower = latency(factor, own: factor)
    let groups = try await ranking().reaching(
      .latency(0.5), limit: 0.5, scope: .layer, latency: slower)
    #expect(groups.count == 2048)
  }

  @Test("A goal that seems to be missed is measured again, and the shortest times count")
  func again() async throws {
    let own = try await latency { [3, 1, 2][$0 - 1] }.seconds(coupling.model, within: 1)
    #expect(own == (1, 1))
    let once = try await latency { [3, 1, 2][$0 - 1] }.seconds(coupling.model)
    #expect(once == (1, 3))
  }
}
