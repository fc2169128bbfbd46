// Steps whose results nobody reads.

import CoalitionBase

extension Draft {
  /// The steps that lead to an output. Buffers and constants keep their numbers: a buffer that no step names takes no
  /// place in the arena, and a constant becomes a single number.
  func withoutDeadSteps() -> Draft {
    var read = Set<Int>()
    var kept: [Int] = []
    for (index, step) in steps.enumerated().reversed() {
      let written = step.allWrites.compactMap(\.buffer)
      guard written.isEmpty || written.contains(where: read.contains) else { continue }
      read.formUnion(step.reads.compactMap(\.buffer))
      kept.append(index)
    }
    var draft = self
    draft.steps = kept.reversed().map { steps[$0] }
    draft.labels = kept.reversed().map { labels[$0] }
    let used = Set(draft.steps.flatMap(\.reads).map(\.space))
    for index in constants.indices where !used.contains(.constant(index)) {
      draft.constants[index] = ConstantSource(HostView(Tensor(.float32([0]))))
    }
    return draft
  }
}
