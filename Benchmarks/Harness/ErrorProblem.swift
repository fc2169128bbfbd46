// Trained networks that errors are measured on: with so few players that their exact values are known, or with values that
// were sampled for long.

import Coalition
import CoalitionData
import CoalitionNet
import Foundation

struct ErrorProblem: Sendable {
  /// How stored examples become inputs.
  enum Scaling { case none, signedBytes }

  /// A path: `shapley/error/digits`.
  var name: String
  /// Files, from the benchmarks' folder.
  var model: String
  var examples: String
  var scaling = Scaling.none
  var players = Players.element
  /// The same for peers.
  var playersText = "element"
  /// Examples that are explained, each by itself.
  var inputs = 3
  /// Toggled coalitions behind the values that errors are measured from; nil: all coalitions.
  var referenceSamples: Int?
  var peers = ["captum", "shap", "shapiq", "written"]

  private static let few = [
    own("digits", patch: 2), own("lenet", patch: 7), own("parkinsons", patch: nil),
  ]

  /// What error is measured on against time.
  static let curves = few + [pixels("digits", 1 << 16), pixels("lenet", 1 << 13)]

  /// What estimators are compared on by evaluations.
  static let constants =
    few
    + [
      fixture("mlp-relu", "mnist-images.npz", patch: 7),
      fixture("mlp-tanh", "mnist-images.npz", patch: 7),
      fixture("cnn", "mnist-images.npz", patch: 7),
      fixture("resnet", "cifar-images.npz", patch: 8),
    ]

  private static func own(_ name: String, patch: Int?) -> ErrorProblem {
    ErrorProblem(
      name: "shapley/error/\(name)", model: "Models/\(name).onnx", examples: "Models/\(name).npy"
    ).with(patch)
  }

  /// Every pixel a player, for the peers that can do it in the time.
  private static func pixels(_ name: String, _ samples: Int) -> ErrorProblem {
    var problem = own(name, patch: nil)
    problem.name += "-pixels"
    problem.referenceSamples = samples
    problem.peers = ["captum", "written"]
    return problem
  }

  private static func fixture(_ name: String, _ examples: String, patch: Int) -> ErrorProblem {
    let folder = "../Tests/CoalitionExplainTests/Fixtures/"
    return ErrorProblem(
      name: name, model: "\(folder)\(name).onnx", examples: "\(folder)\(examples):images",
      scaling: .signedBytes
    ).with(patch)
  }

  private func with(_ patch: Int?) -> ErrorProblem {
    guard let patch else { return self }
    var problem = self
    problem.players = .patch(height: patch, width: patch)
    problem.playersText = "patch:\(patch)x\(patch)"
    return problem
  }

  func isNamed(by word: String) -> Bool { name == word || name.hasPrefix(word + "/") }

  func load(_ options: EngineOptions, threads: Int) async throws -> LoadedProblem {
    let path = options.folder.appending(path: model).path
    let plan = try Plan(Model(ONNX.read(contentsOf: path)))
    let stored = try ArrayFile.load(options.folder.appending(path: examples).path)
    let shape = plan.inputs[0].shape
    var numbers = Array(stored.floats.prefix(inputs * plan.inputs[0].count))
    if scaling == .signedBytes { numbers = numbers.map { $0 / 127.5 - 1 } }
    let rows = try Tensor(shape: [inputs] + shape, elements: .float32(numbers))
    let run = options.run(threads: threads)
    let outputs = try await plan.run([plan.inputs[0].name: rows], run)
    let scores = outputs[plan.outputs[0].name]?.floats ?? []
    let width = scores.count / inputs
    // The predicted class.
    let targets = (0..<inputs).map { row in
      (0..<width).max { scores[row * width + $0] < scores[row * width + $1] } ?? 0
    }
    var problem = LoadedProblem(
      problem: self, path: path, plan: plan,
      players: try PlayerSet(others: players, inputs: [(plan.inputs[0].name, shape)]),
      inputs: rows, targets: targets, run: run)
    for input in 0..<inputs {
      let estimate =
        if let referenceSamples {
          try await problem.estimate(
            .toggle, samples: referenceSamples, seed: 1 << 20, input: input)
        } else {
          try await problem.estimate(.exact, input: input)
        }
      problem.exact.append(estimate.values)
    }
    return problem
  }
}

/// A problem with its games and the values that errors are measured from.
struct LoadedProblem {
  let problem: ErrorProblem
  /// The model's file.
  let path: String
  let plan: Plan
  let players: PlayerSet
  let inputs: Tensor
  let targets: [Int]
  let run: RunOptions
  var exact: [[Double]] = []

  private func game(_ input: Int) throws -> MaskedGame {
    let width = plan.inputs[0].count
    let row = try Tensor(
      shape: [1] + plan.inputs[0].shape,
      elements: .float32(Array(inputs.floats[input * width..<(input + 1) * width])))
    return try MaskedGame(
      plan, players: players, inputs: [plan.inputs[0].name: row], targets: [[targets[input]]])
  }

  /// Everything that explaining one input takes, the game included.
  func estimate(
    _ estimator: Estimator, antithetic: Bool = true, evaluations: Int? = nil, samples: Int? = nil,
    moments: MomentOptions = MomentOptions(), seed: Int = 0, input: Int
  ) async throws -> ShapleyEstimate {
    var options = ShapleyOptions()
    options.estimator = estimator
    options.antithetic = antithetic
    options.evaluations = estimator == .exact ? nil : evaluations
    options.samples = samples
    options.moments = moments
    options.seed = UInt64(seed)
    options.run = run
    return try await Shapley(game(input), options).result()
  }

  /// The root mean square of the errors relative to that of the values.
  func error(_ values: [Double], input: Int) -> Double {
    let squares = zip(values, exact[input]).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    return (squares / exact[input].reduce(0) { $0 + $1 * $1 }).squareRoot()
  }
}
