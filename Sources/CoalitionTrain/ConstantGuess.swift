// What a model is measured against that has learned nothing: the same scores for every example.

import CoalitionBase
import CoalitionPrune

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#endif

/// The scores z_c that serve a set of targets t best when they do not look at the example.
struct ConstantGuess {
  private let loss: Loss
  /// Per score: log softmax(z)_c for the cross-entropy, else z_c.
  private let numbers: [Double]

  /// - Parameter targets: [N, C], one example at least.
  init(_ targets: Tensor, _ loss: Loss) {
    self.loss = loss
    let (count, scores) = (targets.shape[0], targets.shape[1])
    let values = targets.doubles
    func column(_ score: Int) -> [Double] {
      (0..<count).map { values[$0 * scores + score] }
    }
    switch loss {
    case .crossEntropy:
      // softmax(z) is the mean of the targets; a class that none of them has counts as half an example.
      let means = (0..<scores).map {
        max(column($0).reduce(0, +), 0.5) / Double(count)
      }
      let sum = means.reduce(0, +)
      numbers = means.map { log($0 / sum) }
    case .squaredError:
      numbers = (0..<scores).map { column($0).reduce(0, +) / Double(count) }
    case .absoluteError:
      numbers = (0..<scores).map { column($0).sorted()[count / 2] }
    }
  }

  /// The mean loss over targets, [N, C].
  func loss(of targets: Tensor) -> Double {
    let (count, scores) = (targets.shape[0], targets.shape[1])
    let sum = targets.doubles.enumerated().reduce(0.0) { sum, element in
      let (place, target) = element
      let number = numbers[place % scores]
      switch loss {
      case .crossEntropy: return sum - target * number
      case .squaredError: return sum + (number - target) * (number - target) / Double(scores)
      case .absoluteError: return sum + abs(number - target) / Double(scores)
      }
    }
    return sum / Double(count)
  }
}
