// Increasing functions in front of max pools, which are taken behind them: max f(z) = f(max z).
//
// Values are the same, moments are not. Clark's maximum is that of normal variables: sums of contributions are nearly normal, and
// what a rectifier leaves of them is not. It is less work besides, one function for a window in place of one for each of its places.

import CLanes
import CoalitionBase

struct IncreasingFunctions {
  typealias Entry = (step: any Step, label: String)

  /// The steps that write to a buffer, by buffer.
  private var writers: [Int: [Entry]] = [:]

  /// The steps with every such function behind its pool; those in front stay, whether somebody else reads them or not.
  static func behindMaxima(_ steps: [Entry], _ lowering: inout Lowering) -> [Entry] {
    var functions = IncreasingFunctions()
    var result: [Entry] = []
    for entry in steps {
      for entry in functions.moved(entry, &lowering) {
        result.append(entry)
        if let buffer = entry.step.writes?.buffer {
          functions.writers[buffer, default: []].append(entry)
        }
      }
    }
    return result
  }

  /// A step as it is, or a max pool of what a function is taken of, and the function.
  private func moved(_ entry: Entry, _ lowering: inout Lowering) -> [Entry] {
    // A window without a tap has no maximum to take a function of.
    guard var pool = entry.step as? PoolStep, pool.kind == .maximum,
      !pool.vertical.hasEmptyWindows, !pool.horizontal.hasEmptyWindows,
      let argument = argument(of: pool.input, &lowering)
    else { return [entry] }
    let count = pool.maps.outputCount
    let maxima = lowering.buffer(count)
    let function = PointwiseStep(
      function: argument.function, input: maxima, output: pool.output, count: count)
    (pool.input, pool.output) = (argument.operand, maxima)
    return argument.copies + moved((pool, entry.label), &lowering) + [(function, argument.label)]
  }

  /// A value before an increasing function was taken of it.
  private struct Argument {
    /// That put the value together anew.
    var copies: [Entry] = []
    var operand: Operand
    var function: Function
    /// Of the function.
    var label: String
  }

  /// What all of a buffer is an increasing function of, in one piece or put together by copies: nil where it is none.
  private func argument(of operand: Operand, _ lowering: inout Lowering) -> Argument? {
    guard let buffer = operand.buffer, let parts = writers[buffer] else { return nil }
    let count = lowering.draft.buffers[buffer]
    if parts.count == 1, let step = parts[0].step as? PointwiseStep {
      guard step.function.isIncreasing, step.output.offset == 0, step.count == count else {
        return nil
      }
      return Argument(
        operand: step.input.moved(by: operand.offset), function: step.function,
        label: parts[0].label)
    }
    guard parts.allSatisfy({ $0.step is CopyStep }) else { return nil }
    let whole = lowering.buffer(count)
    var joined: Argument?
    for (step, label) in parts {
      guard var copy = step as? CopyStep, let part = argument(of: copy.input, &lowering),
        part.function == joined?.function ?? part.function
      else { return nil }
      copy.input = part.operand
      copy.output.space = whole.space
      var next = joined ?? part
      next.copies = (joined?.copies ?? []) + part.copies + [(copy, label)]
      joined = next
    }
    joined?.operand = whole.moved(by: operand.offset)
    return joined
  }
}

extension Operand {
  fileprivate func moved(by positions: Int) -> Operand {
    Operand(space: space, offset: offset + positions)
  }
}

extension Function {
  /// Whether a larger number never has a smaller value.
  fileprivate var isIncreasing: Bool {
    switch ln_function_id(rawValue: UInt32(id)) {
    case LN_FUNCTION_relu, LN_FUNCTION_clip, LN_FUNCTION_sigmoid, LN_FUNCTION_tanh,
      LN_FUNCTION_softplus, LN_FUNCTION_softsign, LN_FUNCTION_erf, LN_FUNCTION_exp:
      true
    case LN_FUNCTION_leaky_relu, LN_FUNCTION_hard_sigmoid: a >= 0
    case LN_FUNCTION_elu: a >= 0 && b >= 0
    case LN_FUNCTION_celu: a > 0
    default: false
    }
  }
}
