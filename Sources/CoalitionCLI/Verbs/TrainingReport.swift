// What is said of a training: each epoch as it ends, the table of all, warnings, and what results hold of it.

import Coalition
import CoalitionBase
import CoalitionData

/// Tells of each epoch as it ends, beside the progress of the work.
struct EpochReport: Sendable {
  let style: ProgressStyle
  let epochs: Int
  /// What is trained for, in front of each line; nil where it is the only work.
  var purpose: String?
  /// How much of all work is done with an epoch, for programs.
  let count: @Sendable (TrainingEpoch) -> (done: Int, total: Int)

  func tell(_ epoch: TrainingEpoch) {
    switch style.shown {
    case .none: break
    case .json:
      let (done, total) = count(epoch)
      func number(_ value: Double?) -> String { value.map { "\($0)" } ?? "null" }
      Terminal.writeError(
        "{\"done\": \(done), \"total\": \(total), \"epoch\": \(epoch.epoch), \"loss\": \(number(epoch.loss)), "
          + "\"validation-loss\": \(number(epoch.validationLoss)), "
          + "\"accuracy\": \(number(epoch.validationAccuracy))}\n")
    // The line that is written anew goes on under this one.
    case .auto: Terminal.writeError("\r\u{1B}[K\(line(epoch))")
    case .plain: Terminal.writeError(line(epoch))
    }
  }

  private func line(_ epoch: TrainingEpoch) -> String {
    var text = purpose.map { "\($0), " } ?? ""
    text += "epoch \(epoch.epoch) of \(epochs): loss \(Numbers.significant(epoch.loss))"
    if let loss = epoch.validationLoss {
      text += ", validation loss \(Numbers.significant(loss))"
    }
    if let accuracy = epoch.validationAccuracy {
      text += ", accuracy \(Numbers.fixed(100 * accuracy, 2)) %"
    }
    return text + "\n"
  }
}

extension TrainedModel {
  /// A line for each epoch, with columns for what there is.
  var table: String {
    typealias Column = (heading: String, cell: (TrainingEpoch) -> String?)
    let columns: [Column] = [
      ("epoch", { "\($0.epoch)" }),
      ("loss", { Numbers.significant($0.loss) }),
      ("validation loss", { $0.validationLoss.map { Numbers.significant($0) } }),
      ("accuracy", { $0.validationAccuracy.map { Numbers.fixed(100 * $0, 2) + " %" } }),
    ]
    let shown = columns.filter { $0.cell(history[0]) != nil }
    var table = Table(columns: shown.map { ($0.heading, .right) })
    for epoch in history { table.add(cells: shown.map { $0.cell(epoch) ?? "" }) }
    return table.text
  }

  /// For `result`.
  var record: [JSONValue.Member] {
    [
      .init("parameters", .integer(parameterCount)),
      .init("epoch", .integer(epoch)),
      .init("stopped-early", .bool(stoppedEarly)),
      .init("start-loss", .number(startLoss)),
      .init("loss", .number(loss)),
      .init("constant-loss", .number(constantLoss)),
    ]
  }

  /// Adds `loss` and, where they were measured, `validation_loss` and `validation_accuracy`, [epochs + 1], from epoch 0 on.
  func appendHistory(to file: inout ResultFile) throws(CoalitionError) {
    let columns = [
      ("loss", history.map(\.loss)),
      ("validation_loss", history.compactMap(\.validationLoss)),
      ("validation_accuracy", history.compactMap(\.validationAccuracy)),
    ]
    for (name, numbers) in columns where !numbers.isEmpty {
      try file.append(name, Tensor(.float64(numbers)))
    }
  }

  /// What a user should know of the model.
  var warnings: [String] {
    var warnings: [String] = []
    if let divergence {
      warnings.append(
        "training ended in epoch \(history.count), and the weights are those of epoch \(epoch): "
          + divergence.message)
    }
    let measured = history.dropFirst().compactMap(\.validationLoss)
    if let lowest = measured.min() {
      if epoch == 0 {
        warnings.append(
          "no epoch was better than the model as it came, whose weights are kept: its validation loss is "
            + "\(Numbers.significant(startLoss)), the lowest of an epoch \(Numbers.significant(lowest)); a lower "
            + "--learning-rate may help")
      }
    } else if loss > startLoss {
      warnings.append(
        "training ended with a loss of \(Numbers.significant(loss)), larger than the \(Numbers.significant(startLoss)) "
          + "of the model that it began with: a lower --learning-rate may help, or --validation, which keeps the best epoch"
      )
    }
    if loss >= constantLoss {
      warnings.append(
        "with a loss of \(Numbers.significant(loss)) the model is no better than the same scores for every example, "
          + "which have \(Numbers.significant(constantLoss)): another --learning-rate, more --epochs or inputs of another "
          + "--scale may help")
    }
    return warnings
  }
}
