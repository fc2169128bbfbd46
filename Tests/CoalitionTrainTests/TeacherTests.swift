// Targets from another model, and training towards them.

import CoalitionBase
import CoalitionNet
import CoalitionPrune
import Foundation
import TestSupport
import Testing

@testable import CoalitionTrain

@Suite struct TeacherTests {
  private static func model(_ text: String, seed: UInt64) throws -> Model {
    try Model(try Architecture(text).graph(seed: seed))
  }

  @Test("Targets are probabilities, outputs, or shares of them and the labels")
  func targets() async throws {
    let teacher = try Self.model("input 2; dense 5; tanh; dense 3; softmax", seed: 2)
    let inputs = ["input": try points(9).inputs]
    let labels = Tensor(.int64([0, 1, 2, 0, 1, 2, 0, 1, 2]))
    let outputs = try await teacher.scores(inputs, afterSoftmax: true).doubles
    let whole = try await Teacher(teacher).targets(inputs)
    #expect(whole.shape == [9, 3])
    for (a, b) in zip(whole.doubles, outputs) { #expect(abs(a - b) < 1e-6) }
    let mixed = try await Teacher(teacher, share: 0.25).targets(inputs, labels: labels)
    for (place, target) in mixed.doubles.enumerated() {
      let own = place % 3 == (place / 3) % 3 ? 1.0 : 0
      #expect(abs(target - 0.25 * outputs[place] - 0.75 * own) < 1e-6)
    }
    let plain = try await Teacher(teacher).targets(inputs, loss: .squaredError)
    #expect(plain.doubles == outputs)
    await #expect(throws: CoalitionError.self) {
      try await Teacher(teacher, share: 0.5).targets(inputs)
    }
    #expect(throws: CoalitionError.self) { try Teacher(teacher, share: 0) }
    let single = try Self.model("input 2; dense 1", seed: 2)
    await #expect(throws: CoalitionError.self) { try await Teacher(single).targets(inputs) }
  }

  @Test("A student says what its teacher says")
  func student() async throws {
    let teacher = try Self.model("input 2; dense 6; tanh; dense 3", seed: 8)
    let inputs = ["input": try points(300).inputs]
    let targets = try await Teacher(teacher).targets(inputs)
    var options = TrainingOptions()
    (options.epochs, options.batch, options.learningRate) = (150, 32, 0.02)
    let student = try Self.model("input 2; dense 10; relu; dense 3", seed: 1)
    let before = try NetworkAgreement(
      try await teacher.scores(inputs), try await student.scores(inputs))
    let trained = try await Trainer(
      student, LabelledExamples(inputs: inputs, labels: targets), options
    ).trained()
    let probabilities = try await Teacher(try Model(trained.graph)).targets(inputs)
    let errors = zip(probabilities.doubles, targets.doubles).map { abs($0 - $1) }
    #expect((errors.max() ?? 1) < 0.1, "\(errors.max() ?? 1)")
    let after = try NetworkAgreement(
      try await teacher.scores(inputs), try await Model(trained.graph).scores(inputs))
    #expect((after.largestScore ?? 0) > 0.95 && (before.largestScore ?? 1) < 0.95)
  }
}
