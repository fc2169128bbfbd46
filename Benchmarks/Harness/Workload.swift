// What is measured: jobs on networks, each done by Coalition and by peers.

import Coalition

struct Workload: Sendable {
  /// What a rate counts, and how it is told.
  enum Unit: String, Codable {
    case examples = "examples/s"
    case evaluations = "evaluations/s"
    /// Marginal contributions of players.
    case marginals = "marginals/s"
    /// Of moments.
    case passes = "passes/s"
    /// Of one example: a rate told by its inverse.
    case microseconds = "us"
  }

  /// The script that runs a peer, and what it is told besides the model, the peer and the threads.
  struct Peers {
    var script: String
    var arguments: [String] = []
    var names: [String]
  }

  /// A path: `explain/lenet/saliency`.
  var name: String
  var unit = Unit.examples
  var network: @Sendable () -> Network
  var engine: @Sendable (Network, EngineOptions) async throws -> any OwnEngine
  var peers: Peers
  /// nil: the harness's.
  var threads: Int?
  /// nil: the harness's.
  var rounds: Int?
  /// The naive reference does forward passes only.
  var hasNaiveReference = false
  /// Whether RESULTS.md has a table of its steps.
  var listsSteps = false
  /// Whether differences from peers are relative to the largest number: attributions have no scale of their own.
  var comparesRelatively = true
  /// Of workloads whose peers get the harness's inputs.
  var shapley: ShapleyTask?

  static let all =
    forward + training + explanations + [occlusion] + latencies + [sensitivity] + shapley + moments
    + pruning

  /// Whether a word of the command line names this workload or a folder that it is in.
  func isNamed(by word: String) -> Bool { name == word || name.hasPrefix(word + "/") }
}

// MARK: - Forward passes

extension Workload {
  private static let forward: [Workload] = [
    ("mlp", Network.mlp, false), ("tabular", Network.tabular, false),
    ("lenet", Network.lenet, false), ("lenet/direct", Network.lenet, true),
    ("vgg16", Network.vgg16, false), ("vgg16/direct", Network.vgg16, true),
    ("resnet18", Network.resnet18, false), ("resnet18/direct", Network.resnet18, true),
  ].map { name, network, convolvesDirectly in
    Workload(
      name: "forward/\(name)", network: network,
      engine: { try await ForwardEngine($0, convolvesDirectly: convolvesDirectly, $1) },
      peers: Peers(
        script: "peers.py", arguments: ["--sweep-seconds", "0.3"],
        names: ["onnxruntime", "openvino", "torch-eager", "torch-compile"]),
      hasNaiveReference: true, listsSteps: true, comparesRelatively: false)
  }
}

// MARK: - Explanations

extension Workload {
  /// A method under the name that explain_peers.py knows it by.
  private struct Method {
    var name: String
    var method: GradientMethod

    static let all = [
      Method(name: "saliency", method: .saliency),
      Method(name: "gradient-x-input", method: .gradientTimesInput),
      Method(name: "integrated-gradients", method: .integratedGradients(steps: 100)),
      Method(name: "deeplift", method: .deepLIFT),
      Method(name: "epsilon-lrp", method: .epsilonLRP(epsilon: 1e-4)),
    ]
  }

  /// - Parameter batches: that peers try: few, since a sweep tries each with every number of requests.
  private static func explainingPeers(
    _ method: String, batches: String, requests: String? = nil, and more: [String] = []
  ) -> Peers {
    Peers(
      script: "explain_peers.py",
      arguments: ["--method", method, "--batches", batches, "--sweep-seconds", "0.2"]
        + (requests.map { ["--requests", $0] } ?? []),
      names: ["captum", "torch-written"] + more)
  }

  private static let explanations: [Workload] = [
    (name: "mlp", network: Network.mlp, batches: "256,1024,4096", pathBatches: "4,16,64"),
    (name: "lenet", network: Network.lenet, batches: "16,64", pathBatches: "1,4"),
    (name: "vgg16", network: Network.vgg16, batches: "8,32", pathBatches: "1"),
  ].flatMap { network in
    Method.all.map { method in
      let isPath = method.name == "integrated-gradients"
      return Workload(
        name: "explain/\(network.name)/\(method.name)", network: network.network,
        engine: { try await ExplanationEngine($0, method.method, examples: nil, $1) },
        peers: explainingPeers(
          method.name, batches: isPath ? network.pathBatches : network.batches),
        listsSteps: network.name == "vgg16" && method.name == "saliency")
    }
  }

  private static let occlusion = Workload(
    name: "explain/lenet/occlusion", unit: .evaluations, network: Network.lenet,
    engine: { try await OcclusionEngine($0, $1) },
    peers: explainingPeers("occlusion", batches: "98,196,392", and: ["onnxruntime"]))

  /// One example in one thread.
  private static let latencies: [Workload] =
    Method.all.filter { ["saliency", "deeplift"].contains($0.name) }.map { method in
      Workload(
        name: "explain/mlp/\(method.name)/latency", unit: .microseconds, network: Network.mlp,
        engine: { try await ExplanationEngine($0, method.method, examples: 1, $1) },
        peers: explainingPeers(method.name, batches: "1", requests: "1"), threads: 1)
    }

  private static let sensitivity = Workload(
    name: "evaluate/sensitivity-n", unit: .evaluations, network: Network.lenet,
    engine: {
      try await SensitivityEngine($0, images: 100, sizes: 16, subsets: 100, $1)
    },
    peers: Peers(script: "explain_peers.py", names: []),
    // A turn is 160,100 evaluations.
    rounds: 3)
}
