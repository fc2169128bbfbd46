// The training loop: what it reaches, that its bytes do not depend on threads, and when it stops.

import CoalitionBase
import CoalitionNet
import CoalitionONNX
import CoalitionPrune
import Foundation
import TestSupport
import Testing

@testable import CoalitionTrain

@Suite struct TrainerTests {
  private static let mixed = """
    input 3x9x8; conv 6 3 pad same; batchnorm; relu; maxpool 2; dropout 0.25; depthwise 3 stride 2 pad 1; prelu; \
    conv 4 1x2 groups 2; gelu; flatten; dense 12; batchnorm; tanh; dense 3; softmax
    """

  private static func examples(_ count: Int) throws -> LabelledExamples {
    var random = Seeded(4)
    let rows = random.numbers(count * 216).map { Float($0) }
    let labels = (0..<count).map { Int64($0 % 3) }
    return LabelledExamples(
      inputs: ["input": try Tensor(shape: [count, 3, 9, 8], elements: .float32(rows))],
      labels: Tensor(.int64(labels)))
  }

  @Test("Bytes do not depend on threads and instruction sets")
  func sameBytes() async throws {
    let graph = try Architecture(Self.mixed).graph(seed: 3)
    func trained(_ threads: Int, _ set: InstructionSet?) async throws -> [UInt8] {
      var options = TrainingOptions()
      options.batch = 80
      options.epochs = 2
      options.run.threads = threads
      options.run.instructionSet = set
      let trainer = try Trainer(try Model(graph), try Self.examples(205), options)
      return try ONNX.encode(try await trainer.trained().graph)
    }
    let one = try await trained(1, nil)
    #expect(try await trained(1, nil) == one)
    for threads in [2, 3] { #expect(try await trained(threads, nil) == one, "\(threads) threads") }
    for set in InstructionSet.available {
      #expect(try await trained(2, set) == one, "\(set)")
    }
    var options = TrainingOptions()
    (options.batch, options.epochs, options.seed) = (80, 2, 1)
    let other = try await Trainer(try Model(graph), try Self.examples(205), options).trained()
    #expect(try ONNX.encode(other.graph) != one, "another seed")
  }

  @Test(
    "Points apart by a curve are told apart, by every rule", arguments: OptimizerTests.optimizers)
  func learns(optimizer: Optimizer) async throws {
    let (inputs, labels) = try points(600)
    let graph = try Architecture("input 2; dense 24; tanh; dense 24; tanh; dense 2").graph()
    var options = TrainingOptions()
    options.optimizer = optimizer
    options.batch = 20
    options.epochs = 120
    if case .sgd = optimizer { options.learningRate = 0.1 }
    let all = LabelledExamples(inputs: ["input": inputs], labels: labels)
    let (part, rest) = try all.split(share: 0.2)
    let trained = try await Trainer(try Model(graph), rest, validation: part, options).trained()
    let best = trained.history[trained.epoch]
    #expect(best.validationAccuracy ?? 0 >= 0.95, "\(optimizer): \(best)")
    let measured = try await part.measure(try Model(trained.graph))
    #expect(trained.epoch > 0 && measured.loss == best.validationLoss)
    #expect(trained.history.map(\.epoch) == Array(0...120) && !trained.stoppedEarly)
  }

  @Test("Training stops when the validation loss does not fall, with the best weights")
  func stopsEarly() async throws {
    // Labels that say nothing: what is learnt by heart does not help.
    var random = Seeded(8)
    let rows = try Tensor(
      shape: [120, 10], elements: .float32(random.numbers(1200).map { Float($0) }))
    let labels = Tensor(.int64((0..<120).map { _ in Int64.random(in: 0...1, using: &random) }))
    let all = LabelledExamples(inputs: ["input": rows], labels: labels)
    let (part, rest) = try all.split(share: 0.3, seed: 2)
    var options = TrainingOptions()
    options.epochs = 400
    options.patience = 5
    options.learningRate = 0.02
    let model = try Model(try Architecture("input 10; dense 60; relu; dense 2").graph())
    let trained = try await Trainer(model, rest, validation: part, options).trained()
    #expect(trained.stoppedEarly)
    #expect(trained.history.count == trained.epoch + 6)
    let losses = trained.history.compactMap(\.validationLoss)
    #expect(losses.min() == losses[trained.epoch])
    let measured = try await part.measure(try model.rebuilt(trained.graph))
    #expect(measured.loss == losses[trained.epoch])
  }

  /// y = x, on a network y = w x whose weight moves away from 1 with steps that are too large.
  private static func line(
    rate: Double, epochs: Int, validation: Bool
  ) async throws -> TrainedModel {
    var graph = try Architecture("input 1; dense 1").graph()
    graph.constants["layer1.weight"] = try Tensor(shape: [1, 1], elements: .float32([0.5]))
    let rows = try Tensor(shape: [4, 1], elements: .float32([-1, 1, -1, 1]))
    let examples = LabelledExamples(inputs: ["input": rows], labels: rows)
    var options = TrainingOptions()
    options.loss = .squaredError
    options.optimizer = .sgd(momentum: 0)
    options.learningRate = rate
    options.epochs = epochs
    return try await Trainer(
      try Model(graph), examples, validation: validation ? examples : nil, options
    ).trained()
  }

  @Test("Training that runs away is an error, or ends with the best epoch before")
  func divergence() async throws {
    // Every step multiplies the distance from 1 by 1 - 2 rate = -2.
    let error = await #expect(throws: CoalitionError.self) {
      try await Self.line(rate: 1.5, epochs: 300, validation: false)
    }
    #expect(error?.code == .notFinite && error?.message.contains("learning rate") == true)
    let kept = try await Self.line(rate: 1.5, epochs: 300, validation: true)
    #expect(kept.divergence?.code == .notFinite)
    #expect(kept.epoch == 0 && kept.history.count < 300)
    #expect(kept.graph.constants.values.allSatisfy { $0.firstNonFinite == nil })
    #expect(kept.graph.constants["layer1.weight"]?.floats == [0.5])
    // The last step, after which no batch is left to tell; with a validation no epoch has ended before it.
    for validation in [false, true] {
      let last = await #expect(throws: CoalitionError.self) {
        try await Self.line(rate: 1e39, epochs: 1, validation: validation)
      }
      #expect(last?.code == .notFinite && last?.node?.hasPrefix("layer1.") == true)
    }
  }

  @Test("A model is measured against the same scores for every example")
  func constantLoss() async throws {
    let away = try await Self.line(rate: 1.5, epochs: 10, validation: false)
    // The variance of the targets; w = 1 - 0.5 (-2)^10.
    #expect(away.constantLoss == 1 && away.divergence == nil)
    #expect(abs(away.loss - 512 * 512) < 1)
    let near = try await Self.line(rate: 0.1, epochs: 10, validation: true)
    #expect(near.loss < 0.01 && near.constantLoss == 1)
  }

  @Test("The best constant scores by every loss")
  func constantGuess() throws {
    // Shares of classes 1/2, 1/4, 1/4.
    let classes = try Tensor(
      shape: [4, 3], elements: .float32([1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]))
    let entropy = ConstantGuess(classes, .crossEntropy).loss(of: classes)
    let expected: Double = 1.5 * 0.6931471805599453
    #expect(abs(entropy - expected) < 1e-12)
    let numbers = try Tensor(shape: [4, 2], elements: .float64([1, 0, 2, 0, 3, 0, 10, 4]))
    // Variances of 12.5 and 3; distances from 3 and 0 of 2.5 and 1.
    let squared = ConstantGuess(numbers, .squaredError).loss(of: numbers)
    #expect(squared == 7.75)
    let absolute = ConstantGuess(numbers, .absoluteError).loss(of: numbers)
    #expect(absolute == 1.75)
    // A class that was not there has a finite loss.
    let others = try Tensor(shape: [1, 3], elements: .float32([0, 0, 1]))
    let first = try Tensor(shape: [1, 3], elements: .float32([1, 0, 0]))
    #expect(ConstantGuess(first, .crossEntropy).loss(of: others).isFinite)
  }

  @Test("Running statistics become those of the data")
  func runningStatistics() async throws {
    var random = Seeded(6)
    let count = 640
    let rows = random.numbers(count * 3).map { Float($0 * 3 + 2) }
    let inputs = try Tensor(shape: [count, 3], elements: .float32(rows))
    let graph = try Architecture("input 3; dense 3; batchnorm; dense 2").graph()
    var fixed = graph
    fixed.constants["layer1.weight"] = try Tensor(
      shape: [3, 3], elements: .float32([1, 0, 0, 0, 1, 0, 0, 0, 1]))
    var options = TrainingOptions()
    options.optimizer = .sgd(momentum: 0)
    options.learningRate = 1e-12
    options.batch = count
    options.epochs = 150
    let trained = try await Trainer(
      try Model(fixed),
      LabelledExamples(
        inputs: ["input": inputs], labels: Tensor(.int64((0..<count).map { Int64($0 % 2) }))),
      options
    ).trained()
    let means = trained.graph.constants["layer2.mean"]?.doubles ?? []
    let variances = trained.graph.constants["layer2.variance"]?.doubles ?? []
    for feature in 0..<3 {
      let values = stride(from: feature, to: rows.count, by: 3).map { Double(rows[$0]) }
      let mean = values.reduce(0, +) / Double(count)
      let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count - 1)
      #expect(abs(means[feature] - mean) < 1e-4 * abs(mean))
      #expect(abs(variances[feature] - variance) < 1e-4 * variance)
    }
  }

  @Test("What cannot be trained on is refused")
  func refused() async throws {
    let model = try Model(try Architecture("input 2; dense 2").graph())
    let (inputs, labels) = try points(10)
    func code(
      _ labels: Tensor, _ change: (inout TrainingOptions) -> Void = { _ in }
    ) -> CoalitionError.Code? {
      var options = TrainingOptions()
      change(&options)
      do throws(CoalitionError) {
        _ = try Trainer(
          model, LabelledExamples(inputs: ["input": inputs], labels: labels), options)
        return nil
      } catch {
        return error.code
      }
    }
    #expect(code(labels) == nil)
    #expect(code(Tensor(.int64([0, 1]))) == .shapeMismatch)
    #expect(code(Tensor(.int64([Int64](repeating: 2, count: 10)))) == .invalidData)
    #expect(code(labels) { $0.learningRate = 0 } == .usage)
    #expect(code(labels) { $0.batch = 0 } == .usage)
    #expect(code(labels) { $0.epochs = 0 } == .usage)
    #expect(code(labels) { $0.patience = 0 } == .usage)
    #expect(code(labels) { $0.weightDecay = -1 } == .usage)
    #expect(code(labels) { $0.optimizer = .sgd(momentum: 1) } == .usage)

    // Labels and inputs of different numbers, split before anything else looks at them.
    #expect {
      _ = try LabelledExamples(
        inputs: ["input": inputs], labels: Tensor(.int64([0, 1, 0, 1, 0]))
      ).split(share: 0.4)
    } throws: { ($0 as? CoalitionError)?.code == .shapeMismatch }
    // A lane alone has no sums over examples.
    for lanes in [0, 1, 7, 128] {
      var options = TrainingOptions()
      options.run.lanes = lanes
      let trainer = try Trainer(
        model, LabelledExamples(inputs: ["input": inputs], labels: labels), options)
      await #expect {
        _ = try await trainer.trained()
      } throws: { ($0 as? CoalitionError)?.code == .usage }
    }

    var options = TrainingOptions()
    options.optimizer = .sgd(momentum: 0)
    options.loss = .squaredError
    options.learningRate = 1e6
    options.epochs = 50
    let trainer = try Trainer(
      model, LabelledExamples(inputs: ["input": inputs], labels: labels), options)
    await #expect {
      _ = try await trainer.trained()
    } throws: { ($0 as? CoalitionError)?.code == .notFinite }
  }
}

@Suite(.enabled(if: MNIST.isThere, "there is no ../shared/data/mnist"))
struct DigitTests {
  private static func accuracy(
    _ architecture: String, epochs: Int, _ optimizer: Optimizer, rate: Double? = nil, batch: Int,
    prepare: (Tensor) throws -> Tensor
  ) async throws -> Double {
    let (images, labels) = try MNIST.examples("train")
    let (held, heldLabels) = try MNIST.examples("t10k")
    var options = TrainingOptions()
    options.optimizer = optimizer
    options.learningRate = rate
    options.batch = batch
    options.epochs = epochs
    let model = try Model(try Architecture(architecture).graph())
    let trained = try await Trainer(
      model, LabelledExamples(inputs: ["input": try prepare(images)], labels: labels), options
    ).trained()
    let unseen = LabelledExamples(inputs: ["input": try prepare(held)], labels: heldLabels)
    return try await unseen.measure(try model.rebuilt(trained.graph)).accuracy ?? 0
  }

  @Test("A perceptron reads 97 % of unseen digits")
  func perceptron() async throws {
    let accuracy = try await Self.accuracy(
      "input 64; dense 128; relu; dense 128; relu; dense 10", epochs: 8, .adam(), batch: 64,
      prepare: MNIST.small)
    #expect(accuracy >= 0.97, "\(accuracy)")
  }

  /// Scored and repaired on 500 labelled images, never trained again (docs/Methods.md).
  @Test("A convolutional network with a tenth of its parameters reads at most 1 % less")
  func tenth() async throws {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Benchmarks/Models/lenet.onnx").path
    let model = try Model(try ONNX.read(contentsOf: path))
    let (images, labels) = try MNIST.examples("train")
    let some = Array(0..<500)
    let name = model.graph.inputs[0].name
    let examples = LabelledExamples(
      inputs: [name: try images.rows(some)], labels: try labels.rows(some))
    let coupling = try UnitCoupling(model)
    var options = UnitScoreOptions()
    options.metric = .reconstruction
    let scorer = try UnitScorer(coupling, inputs: examples.inputs, options)
    var scores: [Int: [Double]] = [:]
    for layer in coupling.layers.indices where coupling.obstacle(toLayer: layer) == nil {
      scores[layer] = try await scorer.scores(layer: layer).scores
    }
    let whole = try ModelSummary(model.graph).parameters
    let groups = try await UnitRanking(coupling, scores: scores).reaching(
      .parameters(0.1), limit: 0.1 * Double(whole), scope: .layer)
    let network = try await PrunedNetwork(coupling, removing: groups, inputs: examples.inputs)
    let gone = Set(groups.flatMap { coupling.groups[$0].units })
    let kept = coupling.layers.indices.map { layer in
      (0..<coupling.layers[layer].unitCount).filter {
        !gone.contains(HiddenUnit(layer: layer, unit: $0))
      }
    }
    let repaired = try await NetworkRepair(coupling, kept: kept, inputs: examples.inputs)
      .repaired(network.graph, by: [.leastSquares, .bias])
    #expect(try ModelSummary(repaired).parameters * 10 <= whole)
    let (held, heldLabels) = try MNIST.examples("t10k")
    let unseen = LabelledExamples(inputs: [name: held], labels: heldLabels)
    let before = try #require(try await unseen.measure(model).accuracy)
    let after = try #require(try await unseen.measure(try Model(repaired)).accuracy)
    #expect(after >= before - 0.01, "\(before) to \(after)")
  }

  @Test(
    "A convolutional network reads 99 % of unseen digits after 5 epochs",
    .enabled(
      if: ProcessInfo.processInfo.environment["COALITION_SLOW_TESTS"] != nil,
      "a minute of work: set COALITION_SLOW_TESTS"))
  func convolutional() async throws {
    let accuracy = try await Self.accuracy(
      "input 1x28x28; conv 32 5; relu; maxpool 2; conv 64 5; relu; maxpool 2; flatten; dense 128; relu; dense 10",
      epochs: 5, .adam(), batch: 64, prepare: { $0 })
    #expect(accuracy >= 0.99, "\(accuracy)")
  }
}
