// Training as a repair of `coalition prune`: what is trained on, towards what, and what came of it.

import Coalition
import CoalitionBase
import CoalitionNet

struct PruneTraining: Sendable {
  /// With what is trained towards.
  private let examples: LabelledExamples
  /// Only measured: by their labels, or where there are none by what the whole model says of them.
  let validation: LabelledExamples?
  private let options: TrainingOptions
  private let style: ProgressStyle
  /// For people.
  private let purpose: String
  /// Once it has been trained.
  private(set) var trained: TrainedModel?

  /// - Parameters:
  ///   - repairs: one at least.
  ///   - labels: of the subject's examples; nil only for `distill` alone.
  init(
    _ repairs: Set<PruneFlags.TrainingRepair>, _ flags: TrainFlags, _ subject: ScoreSubject,
    _ score: ScoreFlags, labels: Tensor?
  ) async throws(CoalitionError) {
    let teacher = try Teacher(subject.model, share: repairs.contains(.finetune) ? 0.5 : 1)
    let (output, loss) = (score.options.output, score.options.loss)
    let run = subject.execution.options
    var targets = labels
    if repairs.contains(.distill) {
      targets = try await teacher.targets(
        subject.inputs, labels: labels, of: output, loss: loss, subject.plan, run)
    }
    guard let targets else {
      throw CoalitionError(.usage, "--repair finetune needs --input and --labels")
    }
    let (training, measured) = try await flags.examples(
      LabelledExamples(inputs: subject.inputs, labels: targets, loss: loss), measuredBy: labels,
      subject.arrays, try Plan(subject.model, subject.plan).inputs,
      memoryLimit: subject.plan.memoryLimit
    ) { inputs throws(CoalitionError) in
      try await teacher.targets(inputs, of: output, loss: loss, subject.plan, run)
    }
    examples = training
    validation = measured.map {
      var examples = $0
      (examples.output, examples.plan, examples.run) = (output, subject.plan, run)
      return examples
    }
    var options = flags.options
    (options.loss, options.output, options.plan, options.run) = (loss, output, subject.plan, run)
    self.options = options
    style = subject.execution.runtime.progress
    purpose = repairs.contains(.finetune) ? "fine-tuning" : "distillation"
  }

  /// Trains a smaller model.
  /// - Parameter count: of the work before it.
  mutating func train(
    _ model: Model, _ count: WorkCount
  ) async throws(CoalitionError) -> TrainedModel {
    let report = EpochReport(style: style, epochs: options.epochs, purpose: purpose) { _ in
      (count.total, count.total)
    }
    let trainer = try Trainer(model, examples, validation: validation, options)
    do throws(CoalitionError) {
      let trained = try await trainer.trained { report.tell($0) }
      self.trained = trained
      return trained
    } catch {
      guard error.code == .cancelled else { throw error }
      throw CoalitionError(.cancelled, "\(purpose) \(error.message), nothing was written")
    }
  }

  /// What a user should know of the trained model.
  var warnings: [String] { (trained?.warnings ?? []).map { "\(purpose): \($0)" } }
}
