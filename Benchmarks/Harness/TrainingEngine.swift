// Training of a network: epochs over noise, as the peers do them (Peers/train_peers.py).

import Coalition
import CoalitionNet

final class TrainingEngine: OwnEngine {
  private static let batches = 80
  private static let checkSteps = 4

  private let network: Network
  private let options: EngineOptions
  private let batch: Int
  private let model: Model
  private let plan: Plan
  private let examples: LabelledExamples

  init(_ network: Network, batch: Int, _ options: EngineOptions) async throws {
    self.network = network
    self.options = options
    self.batch = batch
    model = try Model(network.graph)
    plan = try Plan(model)
    examples = try Self.labelled(
      try Examples.noise(Self.batches * batch, network.inputShape), plan)
  }

  /// Labels that go round the classes.
  private static func labelled(_ rows: Tensor, _ plan: Plan) throws -> LabelledExamples {
    let classes = plan.outputs[0].count
    return LabelledExamples(
      inputs: [plan.inputs[0].name: rows],
      labels: Tensor(.int64((0..<rows.shape[0]).map { Int64($0 % classes) })))
  }

  private func trainer(
    _ examples: LabelledExamples, epochs: Int, threads: Int
  ) throws -> Trainer {
    var training = TrainingOptions()
    training.optimizer = .sgd(momentum: 0.9)
    training.learningRate = 0.01
    training.batch = batch
    training.epochs = epochs
    training.run = options.run(threads: threads)
    return try Trainer(model, examples, training)
  }

  /// A forward pass, and two as large for the gradients of values and of weights.
  var operationsPerUnit: Double { 3 * Double(plan.operationsPerExample) }

  func lanes(threads: Int) -> Int { options.lanes ?? TrainingSession.lanes(batch: batch) }

  func rate(threads: Int, seconds: Double) async throws -> Double {
    try await unitsPerSecond(seconds) {
      let trainer = try trainer(examples, epochs: 1, threads: threads)
      _ = try await trainer.run(try trainer.session(), epoch: 1)
      return Self.batches * batch
    }
  }

  /// Of one batch, without the update.
  func profile(instructionSet: InstructionSet) throws -> EngineProfile? {
    var training = TrainingOptions()
    training.batch = batch
    training.run = options.run(threads: 1)
    let session = try Trainer(model, examples, training).session()
    let steps = try session.profile(
      (0..<batch).map { Int32($0) }, instructionSet: instructionSet, repetitions: 20)
    return EngineProfile(steps: steps, forwardStepCount: 0)
  }

  func checkOutputs() async throws -> [Double] {
    let rows = try Examples.check(network.inputShape)
    let after = try await trainer(
      try Self.labelled(rows, plan), epochs: Self.checkSteps, threads: 1
    ).trained()
    let results = try await Plan(try Model(after.graph)).run([plan.inputs[0].name: rows])
    return results[plan.outputs[0].name]?.doubles ?? []
  }
}

extension Workload {
  static let training: [Workload] = [("lenet", Network.lenet), ("mlp", Network.mlp)].map {
    name, network in
    Workload(
      name: "train/\(name)", network: network,
      engine: { try await TrainingEngine($0, batch: 128, $1) },
      peers: Peers(
        script: "train_peers.py", arguments: ["--batch", "128"],
        names: ["torch-eager", "torch-compile"]), listsSteps: true)
  }
}
