// Removal until one example takes a share of the time. Times are what the machine has, so bounds are wide.

import CoalitionBase
import CoalitionNet
import CoalitionPrune
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
    let seconds = try await latency.seconds(smaller)
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
}
