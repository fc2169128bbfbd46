// Integrated gradients to a tolerance: the path is bisected where the sum does not add up.
//
// On a piece [s, t] of the path the gradient's integral is known: it is the change of the score from s to t. Pieces whose
// Gauss-Legendre sum misses that by more than their share of the tolerance are cut in two, until the sum over
// the path is within the tolerance or pieces are too short. So evaluations go to the kinks of the network.

import CoalitionBase
import CoalitionNet

struct AdaptivePath: Sendable {
  let explainer: Explainer
  let rows: [String: Tensor]
  let weights: ScoreWeights
  let baselines: BaselineRows
  /// Of max(|S(x) - S(b)|, 1e-3 |S(x)|).
  let tolerance: Double
  let run: RunOptions

  /// Gradients on a piece.
  private static let nodesPerPiece = 8
  /// Bisections of the path: its shortest pieces are 2^-20 of it.
  private static let depthLimit = 20
  /// Pieces of one call, about.
  private static let piecesPerCall = 1 << 11
  /// Bytes of the sums of paths that are worked on together, about.
  private static let bytesAtOnce = 1 << 27

  /// A path: an example, one of its baselines, and which score.
  private struct Path {
    var example: Int
    var baseline: Int
    var seed: Int32
    var sums: [[Double]]
    var scale = 0.0
    var evaluations = 0
  }

  private struct Piece {
    var path: Int
    var start: Double
    var end: Double
    var startScore: Double
    var endScore: Double
    var depth: Int
  }

  /// Attributions per input [N (x T), shape], the mean over baselines, and evaluations per example and score.
  func attributions(
    examples: Int
  ) async throws(CoalitionError) -> (rows: [String: [Double]], evaluations: [Int]) {
    let plan = try explainer.plan(explainer.request(.integratedGradients()))
    let elements = plan.sources.reduce(0) { $0 + $1.count }
    let targets = weights.isAll ? weights.count : 1
    let perExample = max(elements * targets * baselines.count * MemoryLayout<Double>.stride, 1)
    let together = max(Self.bytesAtOnce / perExample, 1)
    var rows: [String: [Double]] = [:]
    var evaluations: [Int] = []
    for first in stride(from: 0, to: examples, by: together) {
      let part = try await attributions(first..<min(first + together, examples), plan)
      rows.merge(part.rows, uniquingKeysWith: +)
      evaluations += part.evaluations
    }
    return (rows, evaluations)
  }

  private func attributions(
    _ examples: Range<Int>, _ plan: ReversePlan
  ) async throws(CoalitionError) -> (rows: [String: [Double]], evaluations: [Int]) {
    let seeds = weights.isAll ? Array(0..<Int32(weights.count)) : []
    var paths: [Path] = []
    for example in examples {
      for seed in weights.rowOf.map({ [$0[example]] }) ?? seeds {
        for baseline in 0..<baselines.count {
          paths.append(
            Path(
              example: example, baseline: baseline, seed: seed,
              sums: plan.sources.map { [Double](repeating: 0, count: $0.count) }))
        }
      }
    }
    let ends = try await scores(at: paths.indices.map { ($0, 1) }, paths)
    let starts = try await scores(at: paths.indices.map { ($0, 0) }, paths)
    var open: [Piece] = []
    for path in paths.indices {
      paths[path].scale = max(abs(ends[path] - starts[path]), 1e-3 * abs(ends[path]))
      open.append(
        Piece(
          path: path, start: 0, end: 1, startScore: starts[path], endScore: ends[path], depth: 0))
    }
    while !open.isEmpty {
      let pieces = Array(open.prefix(Self.piecesPerCall))
      open.removeFirst(pieces.count)
      let sums = try await integrals(pieces, paths, plan)
      var halves: [Piece] = []
      for (index, piece) in pieces.enumerated() {
        let size = piece.end - piece.start
        let values = sums.map { source in
          Array(source.values[index * source.size..<(index + 1) * source.size])
        }
        let total = values.reduce(0) { $0 + $1.reduce(0, +) }
        let gap = piece.endScore - piece.startScore - total
        paths[piece.path].evaluations += Self.nodesPerPiece
        // Half of the tolerance is shared out by length, the other half evenly over few bad pieces.
        let share = tolerance * paths[piece.path].scale * max(size, 1.0 / 16) / 2
        if abs(gap) <= share || piece.depth >= Self.depthLimit {
          for source in values.indices {
            for element in values[source].indices {
              paths[piece.path].sums[source][element] += values[source][element]
            }
          }
        } else {
          halves.append(piece)
        }
      }
      let middles = try await scores(
        at: halves.map { ($0.path, ($0.start + $0.end) / 2) }, paths)
      for (piece, score) in zip(halves, middles) {
        let middle = (piece.start + piece.end) / 2
        open.append(
          Piece(
            path: piece.path, start: piece.start, end: middle, startScore: piece.startScore,
            endScore: score, depth: piece.depth + 1))
        open.append(
          Piece(
            path: piece.path, start: middle, end: piece.end, startScore: score,
            endScore: piece.endScore, depth: piece.depth + 1))
      }
    }
    var result: [String: [Double]] = [:]
    for (index, source) in plan.sources.enumerated() {
      var values: [Double] = []
      for first in stride(from: 0, to: paths.count, by: baselines.count) {
        var mean = [Double](repeating: 0, count: source.count)
        for path in paths[first..<first + baselines.count] {
          for element in mean.indices {
            mean[element] += path.sums[index][element] / Double(baselines.count)
          }
        }
        values += mean
      }
      result[source.name] = values
    }
    let evaluations = stride(from: 0, to: paths.count, by: baselines.count).map { first in
      paths[first..<first + baselines.count].reduce(0) { $0 + $1.evaluations }
    }
    return (result, evaluations)
  }

  /// (x - b) times the gradient's integral over each piece, per source.
  private func integrals(
    _ pieces: [Piece], _ paths: [Path], _ plan: ReversePlan
  ) async throws(CoalitionError) -> [(size: Int, values: [Double])] {
    let nodes = Quadrature.gauss.nodes(Self.nodesPerPiece)
    var work = ReversePlan.Work(examples: pieces.count * nodes.count)
    work.inputs = rows
    work.baselines = baselines.rows
    work.seeds = [weights.rows]
    var rowOf: [Int32] = []
    var baselineOf: [Int32] = []
    var seedOf: [Int32] = []
    for (index, piece) in pieces.enumerated() {
      let path = paths[piece.path]
      for node in nodes {
        rowOf.append(Int32(path.example))
        baselineOf.append(Int32(path.baseline))
        seedOf.append(path.seed)
        work.alphas.append(piece.start + (piece.end - piece.start) * node.place)
        work.weights.append((piece.end - piece.start) * node.weight)
        work.groupOf.append(index)
      }
    }
    (work.rowOf, work.baselineOf, work.seedOf) = (rowOf, baselineOf, seedOf)
    let outcome = try await plan.run(work, run)
    return zip(plan.sources, outcome.results[0]).map { ($0.count, $1.doubles) }
  }

  /// The scores at places of paths.
  private func scores(
    at places: [(path: Int, place: Double)], _ paths: [Path]
  ) async throws(CoalitionError) -> [Double] {
    guard !places.isEmpty else { return [] }
    var points: [String: Tensor] = [:]
    for input in explainer.heldInputs {
      points[input.name] = try rows[input.name]?.rows(places.map { paths[$0.path].example })
    }
    for input in explainer.sources {
      guard let ends = try rows[input.name]?.rows(places.map { paths[$0.path].example }).doubles,
        let starts = baselines.rows[input.name]?.doubles
      else { continue }
      var values: [Double] = []
      values.reserveCapacity(places.count * input.count)
      for (row, (index, place)) in places.enumerated() {
        let start = paths[index].baseline * input.count
        for element in 0..<input.count {
          let from = starts[start + element]
          values.append(from + place * (ends[row * input.count + element] - from))
        }
      }
      points[input.name] = try Tensor(
        shape: [places.count] + input.shape, elements: .float64(values))
    }
    let values = try await explainer.forward.run(points, run)[explainer.scores]?.doubles ?? []
    let rows = weights.rows.doubles
    let count = weights.rows.shape[1]
    return places.enumerated().map { index, place in
      let row = Int(paths[place.path].seed)
      return (0..<count).reduce(0) { $0 + rows[row * count + $1] * values[index * count + $1] }
    }
  }
}
