// How a model is trained.

public import CoalitionBase
public import CoalitionNet
public import CoalitionPrune

public struct TrainingOptions: Sendable {
  public var loss = Loss.crossEntropy
  /// Which of the model's outputs has the scores that the loss looks at; nil: the only one.
  public var output: String?
  public var optimizer = Optimizer.adam()
  /// nil: what is usual for the optimizer.
  public var learningRate: Double?
  /// Times a weight, this is added to its gradient.
  public var weightDecay = 0.0
  /// Examples of a batch. The last batch of an epoch has what is left.
  public var batch = 64
  /// How often all examples are gone through.
  public var epochs = 10
  /// Ends training when the loss of the validation examples has not become lower for so many epochs.
  public var patience: Int?
  /// Decides the order of the examples and what dropouts drop.
  public var seed: UInt64 = 0
  public var plan = PlanOptions()
  public var run = RunOptions()

  public init() {}

  /// - Throws: `usage` for numbers that make no sense.
  func check() throws(CoalitionError) {
    func refuse(_ what: String, _ expected: String, _ found: Any) -> CoalitionError {
      CoalitionError(.usage, "the \(what) cannot be used", expected: expected, found: "\(found)")
    }
    if let rate = learningRate, !(rate > 0 && rate.isFinite) {
      throw refuse("learning rate", "a number above 0", rate)
    }
    guard weightDecay >= 0, weightDecay.isFinite else {
      throw refuse("weight decay", "a number from 0", weightDecay)
    }
    guard optimizer.isValid else {
      throw refuse(
        "optimizer", "momentum and decays from 0 and below 1, epsilon above 0", optimizer)
    }
    guard (1...1 << 20).contains(batch) else {
      throw refuse("number of examples in a batch", "1 to \(1 << 20)", batch)
    }
    guard (1...1 << 31).contains(epochs) else {
      throw refuse("number of epochs", "1 to \(1 << 31)", epochs)
    }
    if let patience, patience < 1 { throw refuse("patience", "1 epoch or more", patience) }
  }

  var rule: UpdateRule {
    optimizer.rule(rate: learningRate ?? optimizer.usualRate, decay: weightDecay)
  }
}

/// What an epoch brought.
public struct TrainingEpoch: Sendable, Hashable {
  /// Counted from 1; 0 is the model as it came, before the first step.
  public let epoch: Int
  /// The mean over the examples, each as its batch found it; in epoch 0 as the model gives it, without dropouts.
  public let loss: Double
  /// Of the validation examples; nil without any.
  public let validationLoss: Double?
  /// nil also for labels that are no classes.
  public let validationAccuracy: Double?
}

/// A model that was trained.
public struct TrainedModel: Sendable {
  public let graph: Graph
  /// By epoch, from 0 on: the model as it came.
  public let history: [TrainingEpoch]
  /// The epoch whose weights the graph has: that of the lowest validation loss, 0 among them, or without validation examples
  /// the last one.
  public let epoch: Int
  /// Whether training ended because the validation loss did not become lower.
  public let stoppedEarly: Bool
  /// The mean loss of the model as it is: over the validation examples, or without any over those it was trained on, as
  /// its last epoch's batches found it, or where that is more than `startLoss` as the model gives it.
  public let loss: Double
  /// The same of the model as it came.
  public var startLoss: Double { history[0].validationLoss ?? history[0].loss }
  /// The same of the best scores that do not look at the example: a model that is no better has learned nothing.
  public let constantLoss: Double
  /// What ended training when numbers were no longer finite: the graph is that of an earlier epoch.
  public let divergence: CoalitionError?
  /// Numbers that were trained.
  public let parameterCount: Int
}
