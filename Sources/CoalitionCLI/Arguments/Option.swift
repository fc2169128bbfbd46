// Declarations: what a verb takes, as data that the parser and the help text both read.

import CoalitionBase

/// An option without its type: how it is written, explained and read.
struct OptionDeclaration: Sendable {
  /// Without the dashes.
  let name: String
  /// What stands for the value in help texts: nil for a flag, which takes none.
  let placeholder: String?
  let explanation: String
  /// The default, for help texts.
  let fallback: String?
  let isRepeatable: Bool
  /// Whether values may follow each other, up to the next option or the model.
  var isList = false
  let read: @Sendable (String) throws(CoalitionError) -> any Sendable
}

/// An option whose values are of a known type.
struct Option<Value: Sendable>: Sendable {
  let declaration: OptionDeclaration

  /// - Parameter format: reads the text of a value.
  init(
    _ name: String, _ placeholder: String, _ explanation: String, default fallback: String? = nil,
    repeatable: Bool = false, list: Bool = false, as format: ValueFormat<Value>
  ) {
    declaration = OptionDeclaration(
      name: name, placeholder: placeholder, explanation: explanation, fallback: fallback,
      isRepeatable: repeatable || list, isList: list
    ) { text throws(CoalitionError) in try format.read(text) }
  }
}

/// An option that is there or not.
struct Flag: Sendable {
  let declaration: OptionDeclaration

  init(_ name: String, _ explanation: String) {
    declaration = OptionDeclaration(
      name: name, placeholder: nil, explanation: explanation, fallback: nil, isRepeatable: false
    ) { _ in true }
  }
}

/// Options that belong together, under a title in the help text.
struct OptionGroup: Sendable {
  let title: String
  let options: [OptionDeclaration]
}

/// An argument that has no name.
struct Positional: Sendable {
  let name: String
  let explanation: String
  /// One or more of it: only for the last argument of a verb.
  var isRepeatable = false
  /// May be left out: only for the last argument of a verb.
  var isOptional = false
}
