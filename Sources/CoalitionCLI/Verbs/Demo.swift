// `coalition demo`: what the program does, on a network and images that it carries in itself.
//
// A section is one thing that can be seen; later verbs add theirs to the list.

import CDemoData
import Coalition
import CoalitionBase
import CoalitionData
import CoalitionNet

extension Command {
  static let demo = Command(
    name: "demo",
    summary: "runs a digits network that it carries and explains a digit by seven methods",
    positionals: [],
    groups: [
      OptionGroup(
        title: "Options",
        options: [
          Demo.outputOption.declaration, RuntimeOptions.threadsOption.declaration,
        ])
    ],
    examples: ["coalition demo", "coalition demo --output results"]
  ) { arguments throws(CoalitionError) in
    let demo = try await Demo(arguments)
    for section in Demo.sections {
      try Signals.check()
      try Terminal.write("\n\(section.title)\n")
      try await section.show(demo)
    }
    try Terminal.write("\n\(demo.ending)\n")
  }
}

struct Demo {
  static let outputOption = Option(
    "output", "DIR", "writes the model, its images and the results into this folder", as: .text)

  struct Section: Sendable {
    let title: String
    let show: @Sendable (Demo) async throws(CoalitionError) -> Void
  }

  static let sections: [Section] = [.inspection, .recognition, .explanation, .sameBytes]

  let folder: String?
  let threads: Int
  let file: ModelFile
  let plan: Plan
  /// 100 x 1 x 28 x 28, 0 to 1.
  let images: Tensor
  let labels: [Int]

  init(_ arguments: Arguments) async throws(CoalitionError) {
    threads = try Plan.threads(arguments[RuntimeOptions.threadsOption])
    folder = arguments[Self.outputOption]
    let bytes = Self.model
    file = try await ModelFile(bytes, path: "digits.onnx", folder: nil, memoryLimit: .max)
    plan = try Plan(try Model(file.graph))
    var preprocessing = Preprocessing()
    preprocessing.scale = 1.0 / 255
    let pixels = try preprocessing.apply(toArray: try IDX.decode(Self.images))
    images = try pixels.reshaped(to: [pixels.shape[0], 1, 28, 28])
    guard let labels = try IDX.decode(Self.labels).integers else {
      throw CoalitionError(.internalFault, "the labels of the demonstration are broken")
    }
    self.labels = labels
    if let folder {
      try Folder.create(folder)
      try ResultFile.checkWritable("\(folder)/outputs.npz")
      try Files.writeAtomically(bytes, to: "\(folder)/digits.onnx")
      try Files.writeAtomically(Npy.encode(images), to: "\(folder)/images.npy")
    }
  }

  /// How to go on.
  fileprivate var ending: String {
    if let folder {
      return "The model, images.npy and the results are in \(folder): try the commands there."
    }
    return
      "`coalition demo --output DIR` writes the model, images and results so that you can run the "
      + "commands."
  }

  // MARK: Embedded files

  private static var model: [UInt8] {
    Array(UnsafeBufferPointer(start: demo_digits_model, count: demo_digits_model_size))
  }
  private static var images: [UInt8] {
    Array(UnsafeBufferPointer(start: demo_digits_images, count: demo_digits_images_size))
  }
  private static var labels: [UInt8] {
    Array(UnsafeBufferPointer(start: demo_digits_labels, count: demo_digits_labels_size))
  }

  // MARK: Runs

  func outputs(
    threads: Int, _ set: InstructionSet? = nil, lanes: Int? = nil
  ) async throws(CoalitionError) -> Tensor {
    var options = RunOptions()
    options.threads = threads
    options.instructionSet = set
    options.lanes = lanes
    let tensors = try await plan.run(["image": images], options)
    guard let logits = tensors["logits"] else {
      throw CoalitionError(.internalFault, "the network of the demonstration has no logits")
    }
    return logits
  }
}

// MARK: - Sections

extension Demo.Section {
  static let inspection = Demo.Section(
    title: "The network (coalition inspect digits.onnx)"
  ) { demo throws(CoalitionError) in
    let text = try Inspect(demo.file, inputShapes: [:]).text(withNodes: true)
    try Terminal.write(text)
  }

  static let recognition = Demo.Section(
    title: "100 handwritten digits (coalition run digits.onnx --input images.npy)"
  ) { demo throws(CoalitionError) in
    let logits = try await demo.outputs(threads: demo.threads)
    let numbers = logits.floats
    let predicted = demo.labels.indices.map { example in
      (0..<10).max { numbers[10 * example + $0] < numbers[10 * example + $1] } ?? 0
    }
    let right = zip(predicted, demo.labels).count { $0 == $1 }
    let repeats = 20
    let seconds = try await Machine.seconds { () throws(CoalitionError) in
      for _ in 0..<repeats { _ = try await demo.outputs(threads: demo.threads) }
    }
    let rate = Int(Double(repeats * demo.labels.count) / seconds)
    try Terminal.write(
      "  \(right) of \(demo.labels.count) recognised, \(Numbers.grouped(rate)) images a second "
        + "on \(demo.threads) \(demo.threads == 1 ? "thread" : "threads")\n")
    if let folder = demo.folder {
      var record = ResultRecord(verb: "demo", model: demo.file.record, seed: 0)
      record.result = [
        .init("examples", .integer(demo.labels.count)), .init("right", .integer(right)),
      ]
      record.threads = demo.threads
      record.seconds = seconds
      record.instructionSet = try InstructionSet.selected()
      record.memoryLimit = Machine.memory / 2
      var result = ResultFile(metadata: record.members, mainArray: "logits")
      try result.append("logits", logits)
      try result.write(to: "\(folder)/outputs.npz")
      try Terminal.write("  written to \(folder)/outputs.npz\n")
    }
  }

  static let sameBytes = Demo.Section(
    title: "The same bytes, however they are computed"
  ) { demo throws(CoalitionError) in
    let reference = try await demo.outputs(threads: 1, lanes: 1)
    try Terminal.write(
      "  logits of the \(demo.labels.count) images, bit for bit, against 1 thread with 1 example at once\n"
    )
    var table = Table(
      ("threads", .right), ("examples at once", .right), ("instructions", .left), ("", .left))
    var differing = 0
    for set in InstructionSet.available {
      for (threads, lanes) in [(1, 16), (2, 64), (demo.threads, 32)] {
        let isSame = try await demo.outputs(threads: threads, set, lanes: lanes) == reference
        table.add("\(threads)", "\(lanes)", set.rawValue, isSame ? "same" : "DIFFERENT")
        differing += isSame ? 0 : 1
      }
    }
    try Terminal.write(table.text)
    guard differing == 0 else {
      throw CoalitionError(.internalFault, "results depend on how they are computed")
    }
  }
}
