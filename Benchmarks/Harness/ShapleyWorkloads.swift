// The workloads of Shapley values: marginal contributions per second, and all coalitions.

import Coalition

extension Workload {
  /// What Coalition and its peers explain.
  struct ShapleyTask: Sendable {
    var players: Players = .element
    /// The same for the peers.
    var playersText = "element"
    var inputs = ShapleyInputs.noise

    static func patches(_ size: Int) -> ShapleyTask {
      ShapleyTask(
        players: .patch(height: size, width: size), playersText: "patch:\(size)x\(size)")
    }
  }

  static let shapley = [
    sampling("mlp-64/noise", Network.mlp, ShapleyTask(), peers: many + ["captum-256"]),
    sampling("mlp-64/digits", Network.mlp, ShapleyTask(inputs: .digits), peers: many),
    sampling(
      "lenet-patches", Network.lenet, .patches(4), batches: "49,98,196",
      peers: many + ["captum-16"]),
    sampling("lenet-pixels", Network.lenet, ShapleyTask(), batches: "98,196"),
    sampling("vgg16-patches", Network.vgg16, .patches(4), batches: "32,64", rounds: 2),
    sampling(
      "tabular-18", Network.tabular, ShapleyTask(), batches: "288,1152,4608",
      peers: many + ["torch-compile", "captum-256"]),
    exact,
  ]

  private static let many = ["captum", "torch-written", "onnxruntime", "openvino"]

  private static func sampling(
    _ name: String, _ network: @escaping @Sendable () -> Network, _ task: ShapleyTask,
    batches: String = "256,1024,4096", peers: [String] = many, rounds: Int = 3
  ) -> Workload {
    Workload(
      name: "shapley/\(name)", unit: .marginals, network: network,
      engine: { try await SamplingEngine($0, task.players, task.inputs, $1) },
      peers: Peers(
        script: "shapley_peers.py",
        arguments: [
          "--players", task.playersText, "--batches", batches, "--sweep-seconds", "0.15",
        ], names: peers),
      rounds: rounds, shapley: task)
  }

  private static let exact = Workload(
    name: "shapley/tabular-exact", unit: .evaluations, network: Network.tabular,
    engine: { try await EnumerationEngine($0, .element, .noise, $1) },
    peers: Peers(
      script: "shapley_peers.py",
      arguments: ["--exact", "--batches", "1024,4096,16384", "--sweep-seconds", "0.15"],
      names: ["torch-written", "torch-compile", "onnxruntime", "openvino"]),
    rounds: 3, shapley: ShapleyTask())
}
