// The families of networks that units are removed from, small and with random weights.

import CoalitionNet

enum Architecture: String, CaseIterable {
  case vgg, resnet, preactivation, densenet, mobilenet, squeezeExcite, inception, squeezenet,
    resnext, shuffle, perceptron, gatedTail, paddedShortcut, sequence, lateNorms

  /// The network, and the builder for its rows.
  func build() -> (graph: Graph, builder: NetBuilder) {
    var net = NetBuilder(
      input: self == .perceptron ? [12] : self == .sequence ? [5, 6] : [3, 8, 8])
    let output = body(&net)
    return (net.finished(output), net)
  }

  private func body(_ net: inout NetBuilder) -> String {
    switch self {
    case .vgg:
      var x = net.block("x", 6, name: "c1")
      x = net.pool(net.block(x, 8, name: "c2"))
      x = net.pool(net.relu(net.conv(x, 10, name: "c3")))
      x = net.relu(net.dense(net.flatten(x), 14, name: "d1"))
      return net.dense(x, 5, transposed: false, name: "d2")
    case .resnet:
      var x = net.block("x", 6, name: "stem")
      // Without projection: stem and the block's second convolution are added.
      var y = net.block(x, 7, name: "a1")
      y = net.norm(net.conv(y, 6, bias: false, name: "a2"), name: "a2.bn")
      x = net.relu(net.add(y, x))
      // With projection.
      y = net.block(x, 9, stride: 2, name: "b1")
      y = net.norm(net.conv(y, 10, bias: false, name: "b2"), name: "b2.bn")
      let shortcut = net.norm(
        net.conv(x, 10, kernel: 1, stride: 2, bias: false, name: "b.down"), name: "b.down.bn")
      x = net.relu(net.add(y, shortcut))
      return net.dense(net.flatten(net.globalPool(x)), 5, name: "fc")
    case .preactivation:
      var x = net.conv("x", 6, name: "stem")
      for index in 0..<2 {
        var y = net.relu(net.norm(x, name: "n\(index)"))
        y = net.block(y, 5, name: "p\(index)")
        x = net.add(net.conv(y, 6, name: "q\(index)"), x)
      }
      x = net.relu(net.norm(x, name: "last"))
      return net.dense(net.flatten(net.globalPool(x)), 5, name: "fc")
    case .densenet:
      var x = net.conv("x", 4, name: "stem")
      for index in 0..<3 {
        var y = net.relu(net.norm(x, name: "n\(index)"))
        y = net.conv(y, 3, bias: false, name: "g\(index)")
        x = net.concat([x, y])
      }
      x = net.pool(
        net.conv(net.relu(net.norm(x, name: "t")), 6, kernel: 1, bias: false, name: "transition"),
        "AveragePool")
      return net.dense(net.flatten(x), 5, name: "fc")
    case .mobilenet:
      var x = net.block("x", 6, name: "stem")
      x = net.block(x, 6, groups: 6, name: "dw1")
      x = net.norm(net.conv(x, 5, kernel: 1, bias: false, name: "pw1"), name: "pw1.bn")
      // Inverted residual: expand, depthwise, project, add.
      var y = net.block(x, 12, kernel: 1, name: "expand")
      y = net.block(y, 12, groups: 12, name: "dw2")
      y = net.norm(net.conv(y, 5, kernel: 1, bias: false, name: "project"), name: "project.bn")
      x = net.add(x, y)
      // A depthwise layer with two filters per channel.
      x = net.block(x, 10, groups: 5, name: "dw3")
      return net.dense(net.flatten(net.globalPool(x)), 5, name: "fc")
    case .squeezeExcite:
      var x = net.block("x", 8, name: "c1")
      var s = net.globalPool(x)
      s = net.relu(net.conv(s, 3, kernel: 1, name: "squeeze"))
      s = net.conv(s, 8, kernel: 1, name: "excite")
      s = net.node("Sigmoid", [s], shape: [8, 1, 1])
      x = net.node("Mul", [x, s], shape: net.shape(x))
      x = net.block(x, 6, name: "c2")
      return net.dense(net.flatten(net.globalPool(x)), 5, name: "fc")
    case .inception:
      let x = net.block("x", 6, name: "stem")
      let a = net.block(x, 3, kernel: 1, name: "a")
      let b = net.block(net.block(x, 4, kernel: 1, name: "b1"), 5, name: "b2")
      let c = net.block(
        net.block(net.block(x, 4, kernel: 1, name: "c1"), 4, name: "c2"), 3, name: "c3")
      let y = net.block(net.concat([a, b, c]), 6, name: "after")
      return net.dense(net.flatten(net.pool(y)), 5, name: "fc")
    case .squeezenet:
      var x = net.pool(net.relu(net.conv("x", 6, name: "stem")))
      for index in 0..<2 {
        let s = net.relu(net.conv(x, 4, kernel: 1, name: "squeeze\(index)"))
        let a = net.relu(net.conv(s, 5, kernel: 1, name: "one\(index)"))
        let b = net.relu(net.conv(s, 5, name: "three\(index)"))
        x = net.concat([a, b])
      }
      x = net.node("Dropout", [x], shape: net.shape(x))
      // The last convolution makes the classes: it has no units to lose.
      x = net.globalPool(net.relu(net.conv(x, 5, kernel: 1, name: "classes")))
      return net.node("Softmax", [net.flatten(x)], shape: [5], ["axis": .int(1)])
    case .resnext:
      var x = net.block("x", 8, kernel: 1, name: "in")
      x = net.block(x, 12, groups: 4, name: "grouped")
      x = net.block(x, 6, kernel: 1, name: "out")
      return net.dense(net.flatten(net.globalPool(x)), 5, name: "fc")
    case .shuffle:
      // Two groups of channels, interleaved by reshape and transpose; halves by Split and Slice.
      var x = net.block("x", 8, name: "c1")
      x = net.node(
        "Reshape", [x, net.integers("s1", [0, 2, 4, 8, 8])], shape: [2, 4, 8, 8], name: "apart")
      x = net.node("Transpose", [x], shape: [4, 2, 8, 8], ["perm": .ints([0, 2, 1, 3, 4])])
      x = net.node(
        "Reshape", [x, net.integers("s2", [-1, 8, 8, 8])], shape: [8, 8, 8], name: "together")
      let halves = net.node(
        "Split", [x, net.integers("halves", [5, 3])], shapes: [[5, 8, 8], [3, 8, 8]],
        name: "split", ["axis": .int(1)])
      let left = net.block(halves[0], 4, name: "left")
      let right = net.block(halves[1], 4, name: "right")
      let both = net.concat([left, right])
      let middle = net.node(
        "Slice",
        [both, net.integers("from", [2]), net.integers("to", [7]), net.integers("axes", [1])],
        shape: [5, 8, 8], name: "slice")
      return net.dense(net.flatten(net.pool(middle)), 5, name: "fc")
    case .perceptron:
      var x = net.norm(net.dense("x", 9, name: "d1"), name: "bn")
      x = net.node("LeakyRelu", [x], shape: [9], ["alpha": .float(0.1)])
      let weight = net.constant("m.w", [9, 7], -0.6...0.6)
      x = net.node("MatMul", [x, weight], shape: [7], name: "d2")
      x = net.node("Add", [net.constant("m.b", [7], -0.5...0.5), x], shape: [7])
      x = net.node("Tanh", [x], shape: [7])
      return net.dense(x, 3, name: "d3")
    case .gatedTail:
      // x sigmoid(x) with a batch of 1 in written shapes, and an unsqueezed row.
      var x = net.conv("x", 6, name: "c1")
      let gate = net.node("Sigmoid", [x], shape: net.shape(x))
      x = net.node("Mul", [x, gate], shape: net.shape(x))
      x = net.globalPool(x)
      x = net.node("Squeeze", [x, net.integers("drop", [2, 3])], shape: [6])
      x = net.node("Unsqueeze", [x, net.integers("grow", [2])], shape: [6, 1])
      x = net.node("Reshape", [x, net.integers("row", [-1, 6])], shape: [6], name: "row")
      return net.dense(x, 4, name: "fc")
    case .paddedShortcut:
      // The shortcut has fewer channels than what it is added to: zeros on both sides.
      let x = net.block("x", 4, name: "c1")
      let y = net.norm(net.conv(x, 8, name: "c2"), name: "c2.bn")
      let wide = net.node(
        "Pad", [x, net.integers("pads", [0, 1, 0, 0, 0, 3, 0, 0])], shape: [8, 8, 8], name: "pad")
      let sum = net.relu(net.add(y, wide))
      return net.dense(net.flatten(net.globalPool(sum)), 5, name: "fc")
    case .lateNorms:
      // Normalisations behind pools, and behind a dropout.
      var x = net.relu(net.norm(net.pool(net.conv("x", 6, name: "c1")), name: "n1"))
      x = net.pool(net.conv(x, 7, name: "c2"), "AveragePool")
      x = net.relu(net.norm(x, name: "n2"))
      x = net.dense(net.flatten(x), 9, name: "d1")
      x = net.relu(net.norm(net.node("Dropout", [x], shape: net.shape(x)), name: "n3"))
      return net.dense(x, 5, name: "fc")
    case .sequence:
      // A dense layer at every step of a sequence, then a mean over the steps and a softmax over units that stay.
      var x = net.node(
        "MatMul", ["x", net.constant("s.w", [6, 8], -0.6...0.6)], shape: [5, 8], name: "steps")
      x = net.relu(net.node("Add", [x, net.constant("s.b", [8], -0.5...0.5)], shape: [5, 8]))
      x = net.node(
        "MatMul", [x, net.constant("t.w", [8, 6], -0.6...0.6)], shape: [5, 6], name: "scores")
      x = net.node("Softmax", [x], shape: [5, 6], ["axis": .int(-1)])
      x = net.node(
        "ReduceMean", [x, net.integers("over", [1])], shape: [6], ["keepdims": .int(0)])
      return net.dense(x, 3, name: "fc")
    }
  }
}
