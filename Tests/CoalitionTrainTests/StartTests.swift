// The model as it came: epoch 0 of a training, and what is measured against it.

import CoalitionBase
import CoalitionNet
import CoalitionPrune
import Synchronization
import Testing

@testable import CoalitionTrain

@Suite struct StartTests {
  /// y = x on a network y = w x that begins with w = 0.5; every step multiplies w - 1 by 1 - 2 rate.
  private static func trainer(
    _ rate: Double, epochs: Int, validation: Bool, dropout: Bool = false, weight: Float = 0.5,
    patience: Int? = nil
  ) throws -> Trainer {
    let text = "input 1; \(dropout ? "dropout 0.5; " : "")dense 1"
    var graph = try Architecture(text).graph()
    let name = try #require(graph.constants.keys.first { $0.hasSuffix(".weight") })
    graph.constants[name] = try Tensor(shape: [1, 1], elements: .float32([weight]))
    let rows = try Tensor(shape: [4, 1], elements: .float32([-1, 1, -1, 1]))
    // Twice as large: a loss four times that of the others.
    let wide = try Tensor(shape: [2, 1], elements: .float32([-2, 2]))
    var options = TrainingOptions()
    options.loss = .squaredError
    options.optimizer = .sgd(momentum: 0)
    (options.learningRate, options.epochs, options.patience) = (rate, epochs, patience)
    return try Trainer(
      try Model(graph), LabelledExamples(inputs: ["input": rows], labels: rows),
      validation: validation ? LabelledExamples(inputs: ["input": wide], labels: wide) : nil,
      options)
  }

  @Test("Epoch 0 is the model as it came, and is told of")
  func epochZero() async throws {
    let told = Mutex<[TrainingEpoch]>([])
    let trained = try await Self.trainer(0.25, epochs: 3, validation: true).trained { epoch in
      told.withLock { $0.append(epoch) }
    }
    // w - 1 is -1/2, -1/4, -1/8, -1/16; batches find the loss before their step.
    #expect(trained.history.map(\.epoch) == [0, 1, 2, 3])
    #expect(trained.history.map(\.loss) == [0.25, 0.25, 0.0625, 0.015625])
    #expect(trained.history.map(\.validationLoss) == [1, 0.25, 0.0625, 0.015625])
    #expect(trained.startLoss == 1 && trained.loss == 0.015625 && trained.epoch == 3)
    #expect(told.withLock { $0 } == trained.history)
    let plain = try await Self.trainer(0.25, epochs: 3, validation: false).trained()
    #expect(plain.startLoss == 0.25 && plain.history.count == 4 && plain.epoch == 3)
    #expect(plain.history.allSatisfy { $0.validationLoss == nil })
  }

  @Test("A model that only becomes worse comes back as it came, and patience counts from it")
  func worse() async throws {
    let trainer = try Self.trainer(1.5, epochs: 9, validation: true, patience: 2)
    let trained = try await trainer.trained()
    #expect(trained.epoch == 0 && trained.stoppedEarly && trained.history.count == 3)
    #expect(trained.loss == trained.startLoss && trained.divergence == nil)
    #expect(trained.graph == trainer.model.graph.preparedForTraining())
    // w - 1 is (-1/2) (-2)^9.
    let plain = try await Self.trainer(1.5, epochs: 9, validation: false).trained()
    #expect(plain.epoch == 9 && plain.loss == 65536 && plain.startLoss == 0.25)
  }

  @Test("What dropouts add to the loss of batches makes no model worse than it came")
  func dropout() async throws {
    let trained = try await Self.trainer(
      1e-12, epochs: 4, validation: false, dropout: true, weight: 1
    ).trained()
    #expect(trained.history[0].loss == 0 && trained.history[4].loss > 0.1)
    #expect(trained.startLoss == 0 && trained.loss == 0)
  }

  @Test("A cancelled training says how far it was", arguments: [0, 1, 3])
  func cancelled(epoch: Int) async throws {
    let trainer = try Self.trainer(0.1, epochs: 50, validation: true)
    let task = Task {
      try await trainer.trained { told in
        if told.epoch == epoch { withUnsafeCurrentTask { $0?.cancel() } }
      }
    }
    let error = await #expect(throws: CoalitionError.self) { try await task.value }
    #expect(error?.code == .cancelled)
    #expect(
      error?.message
        == (epoch == 0
          ? "cancelled before epoch 1 of 50 had ended" : "cancelled after epoch \(epoch) of 50"))
  }

  @Test("Labels that are no shares of classes are refused by example, for the cross-entropy alone")
  func shares() throws {
    let model = try Model(try Architecture("input 2; dense 2").graph())
    let inputs = ["input": try points(3).inputs]
    func labels(_ numbers: [Double]) throws -> LabelledExamples {
      LabelledExamples(
        inputs: inputs, labels: try Tensor(shape: [3, 2], elements: .float64(numbers)))
    }
    let good = try labels([0.25, 0.75, 1, 0, 0.5, 0.5004])
    _ = try Trainer(model, good)
    for (numbers, found) in [
      ([0.5, 0.5, 1, 0.25, 1, 0], "a sum of 1.25"), ([0.5, 0.5, 1.5, -0.5, 1, 0], "-0.5"),
    ] {
      let wrong = try labels(numbers)
      for isValidation in [false, true] {
        let error = #expect(throws: CoalitionError.self) {
          try Trainer(
            model, isValidation ? good : wrong, validation: isValidation ? wrong : nil)
        }
        #expect(error?.code == .invalidData && error?.found == found)
        #expect(error?.message.contains("example 1 ") == true)
        #expect(error?.node == (isValidation ? "validation labels" : "labels"))
      }
      var options = TrainingOptions()
      options.loss = .squaredError
      _ = try Trainer(model, wrong, options)
    }
  }
}
