// Sensitivity-n of the methods that the paper compares, on one network.
//
// Every method explains the score before a softmax of the predicted class, from the zero baseline; all are measured on
// the same random subsets. `random` is a floor: attributions that know nothing.

import Coalition
import CoalitionBase
import CoalitionData
import CoalitionExplain
import CoalitionFigures
import CoalitionNet

struct SensitivityExperiment: Sendable {
  enum Work: Sendable { case occlusion, random, gradient(GradientMethod) }

  static let methods: [(name: String, work: Work)] = [
    ("occlusion", .occlusion),
    ("gradient-x-input", .gradient(.gradientTimesInput)),
    // 100 gradients at right ends, as in the paper's code, are no closer than 50 of Gauss.
    ("integrated-gradients", .gradient(.integratedGradients())),
    ("deeplift", .gradient(.deepLIFT)),
    ("epsilon-lrp", .gradient(.epsilonLRP())),
    ("saliency", .gradient(.saliency)),
    ("deeplift-reveal-cancel", .gradient(.deepLIFTRevealCancel)),
    ("random", .random),
  ]

  let name: String
  let model: JSONValue
  let result: SensitivityResult
  /// [method][example][element].
  let attributions: [[[Double]]]
  let threads: Int
  let instructionSet: InstructionSet

  init(
    _ network: ReproductionData.Network, images: Tensor, subsets: Int, _ runtime: RuntimeOptions
  ) async throws(CoalitionError) {
    name = network.name
    model = network.file.record
    threads = try Plan.threads(runtime.threads)
    instructionSet = try InstructionSet.selected()
    var options = ExplainerOptions()
    options.plan.precision = runtime.precision
    let explainer = try Explainer(try Model(network.file.graph), options)
    var run = RunOptions()
    run.threads = threads
    run.instructionSet = instructionSet
    guard let input = explainer.modelInputs.first, explainer.modelInputs.count == 1 else {
      throw CoalitionError(
        .shapeMismatch, "the network does not have one input", node: network.file.name)
    }
    let inputs = [input.name: images]
    let examples = images.shape[0]
    let players = try PlayerSet(inputs: [(input.name, input.shape)])
    let (game, _) = try await explainer.game(inputs, players: players, run)
    var attributions: [[[Double]]] = []
    for method in Self.methods {
      try Signals.check()
      switch method.work {
      case .occlusion:
        attributions.append(try await game.occlusion(run).values.map { $0[0] })
      case .gradient(let gradient):
        let explanation = try await explainer.explain(inputs, by: gradient, run)
        attributions.append(
          try players.sums(of: explanation.attributions, examples: examples))
      case .random:
        attributions.append(
          (0..<examples).map { example in
            var random = CounterRandom(
              seed: runtime.seed, purpose: .randomAttributions, index: UInt64(example))
            return (0..<players.playerCount).map { _ in random.normal() }
          })
      }
    }
    self.attributions = attributions
    let sizes =
      SensitivitySubsets.logarithmicSizes(playerCount: players.playerCount)
      + SensitivityClaims.sizes.filter { $0 <= players.playerCount }
    result = try await game.sensitivity(
      attributions,
      try SensitivitySubsets(
        playerCount: players.playerCount, sizes: sizes, count: subsets, seed: runtime.seed),
      bootstrap: Bootstrap(seed: runtime.seed), run)
  }

  // MARK: Looking at it

  func index(_ method: String) -> Int {
    Self.methods.firstIndex { $0.name == method } ?? 0
  }

  /// The mean correlation of a method at n: NaN for an n that was not measured.
  func mean(_ method: String, n: Int) -> Double {
    guard let place = result.sizes.firstIndex(of: n) else { return .nan }
    return result.means[index(method)][place].mean
  }

  /// The mean of a method's mean correlations over all n.
  func overall(_ method: String) -> Double {
    let means = result.means[index(method)].map(\.mean).filter { !$0.isNaN }
    return means.isEmpty ? .nan : means.reduce(0, +) / Double(means.count)
  }

  var text: String {
    "\nSensitivity-n, network with \(name): mean correlation of \(attributions[0].count) images "
      + "with its 95 % interval\n"
      + EvaluateReport.table(result, names: Self.methods.map(\.name))
  }

  var chart: LineChart {
    LineChart(
      title: "Sensitivity-n, \(name)", xLabel: "number of elements n", yLabel: "correlation",
      xScale: .logarithmic,
      series: zip(Self.methods, result.means).map { method, means in
        LineChart.Series(
          method.name, x: result.sizes.map { Double($0) }, y: means.map(\.mean),
          band: .init(lower: means.map(\.low), upper: means.map(\.high)))
      })
  }
}
