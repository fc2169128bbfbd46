// "Same bytes", as a check that any kernel test can use: one experiment over instruction sets, lane counts,
// thread counts and numbers of examples, so that last tiles are ragged and tiles are shared by a team.

import CLanes
import Testing

struct LaneInvariance {
  var isas = availableISAs
  var lanes = allLaneCounts
  var threads = [1, 2, 3, 8]

  /// Where a variant first differs from the narrow form on one thread of the generic set; nil when none does.
  func firstDifference<Element: LaneElement>(_ experiment: LaneExperiment<Element>) -> String? {
    let base = LaneVariant(isa: LN_GENERIC, lanes: 1, threads: 1)
    let expected = experiment.run(base)
    for isa in isas {
      for lanes in lanes {
        for threads in threads {
          let variant = LaneVariant(isa: isa, lanes: lanes, threads: threads)
          let found = experiment.run(variant)
          for slot in expected.indices {
            let pair = zip(expected[slot], found[slot])
            guard let (at, numbers) = pair.enumerated().first(where: { !$1.0.matches($1.1) })
            else { continue }
            return "\(variant): example \(at / experiment.outputRows[slot]) of "
              + "\(experiment.examples), element \(at % experiment.outputRows[slot]) of slot \(slot) "
              + "is \(numbers.1), not \(numbers.0)"
          }
        }
      }
    }
    return nil
  }
}

/// The largest error of a comparison with a reference, in units of what is allowed.
struct WorstError: CustomStringConvertible {
  private(set) var ratio = 0.0
  private(set) var place = "none"

  mutating func note(
    found: Double, reference: Double, allowed: Double, _ place: @autoclosure () -> String
  ) {
    if found == reference || (found.isNaN && reference.isNaN) { return }
    let error = abs(found - reference) / allowed
    // Not `error > ratio`: a NaN must count as the worst of all.
    if !(error <= ratio) {
      ratio = error.isNaN ? .infinity : error
      self.place = "\(found) for \(reference) at \(place())"
    }
  }

  var description: String { "worst error \(ratio) of the allowed one, \(place)" }
}

/// Compares an experiment with a reference that maps one example's rows to its results, for every instruction
/// set and lane count. `allowed` is the permitted error at a reference value.
func worstError<Element: LaneElement>(
  _ experiment: LaneExperiment<Element>, into worst: inout WorstError,
  allowed: (Double) -> Double, reference: ([[Double]]) -> [[Double]]
) {
  let expected = (0..<experiment.examples).map { example in
    reference(
      experiment.inputs.map { rows in
        let count = rows.count / experiment.examples
        return rows[example * count..<(example + 1) * count].map { Double($0) }
      })
  }
  for isa in availableISAs {
    for lanes in allLaneCounts {
      let variant = LaneVariant(isa: isa, lanes: lanes, threads: 1)
      for (slot, rows) in experiment.run(variant).enumerated() {
        let count = experiment.outputRows[slot]
        for i in rows.indices {
          let value = expected[i / count][slot][i % count]
          worst.note(
            found: Double(rows[i]), reference: value, allowed: allowed(value),
            "example \(i / count), element \(i % count), \(variant)")
        }
      }
    }
  }
}
