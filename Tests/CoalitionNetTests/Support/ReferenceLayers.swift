// Layers in the reference: convolution, products, pooling, normalisation, softmax, reductions.

import CoalitionNet
import Glibc

extension Reference.Call {
  func layer() -> [Grid]? {
    switch node.operation {
    case "Conv": return [convolution()]
    case "MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool": return [pooling()]
    case "Gemm": return [gemm()]
    case "MatMul": return [product(input(0), input(1))]
    case "BatchNormalization":
      let x = input(0)
      let epsilon = float("epsilon", 1e-5)
      return [
        Grid(x.shape) { index in
          let c = index[1]
          let (gamma, beta, mean, variance) = (
            input(1).values[c], input(2).values[c], input(3).values[c], input(4).values[c]
          )
          return gamma * (x[index] - mean) / (variance + epsilon).squareRoot() + beta
        }
      ]
    case "Softmax", "LogSoftmax": return [softmax()]
    case "ReduceSum", "ReduceMean", "ReduceProd", "ReduceMax", "ReduceMin": return [reduction()]
    default: return nil
    }
  }

  /// Per spatial axis: kernel, stride, dilation, padding before and after, output size.
  private func windows(_ spatial: [Int], _ kernel: [Int]) -> [[Int]] {
    let strides = ints("strides") ?? spatial.map { _ in 1 }
    let dilations = ints("dilations") ?? spatial.map { _ in 1 }
    let pads = ints("pads") ?? [Int](repeating: 0, count: 2 * spatial.count)
    return spatial.indices.map { axis in
      let reach = (kernel[axis] - 1) * dilations[axis] + 1
      var (before, after) = (pads[axis], pads[axis + spatial.count])
      var size: Int
      switch string("auto_pad", "NOTSET") {
      case "SAME_UPPER", "SAME_LOWER":
        size = Int((Double(spatial[axis]) / Double(strides[axis])).rounded(.up))
        let total = max(0, (size - 1) * strides[axis] + reach - spatial[axis])
        before = string("auto_pad", "") == "SAME_UPPER" ? total / 2 : total - total / 2
        after = total - before
      case "VALID":
        (before, after) = (0, 0)
        size = (spatial[axis] - reach) / strides[axis] + 1
      default:
        let room = Double(spatial[axis] + before + after - reach) / Double(strides[axis])
        size = Int(room.rounded(int("ceil_mode", 0) == 1 ? .up : .down)) + 1
        if int("ceil_mode", 0) == 1, (size - 1) * strides[axis] >= spatial[axis] + before {
          size -= 1
        }
      }
      return [kernel[axis], strides[axis], dilations[axis], before, after, size]
    }
  }

  private func offsets(_ windows: [[Int]]) -> [[Int]] {
    windows.reduce([[]]) { all, w in all.flatMap { one in (0..<w[0]).map { one + [$0] } } }
  }

  private func convolution() -> Grid {
    let (x, w) = (input(0), input(1))
    let groups = int("group", 1)
    let windows = windows(Array(x.shape[2...]), Array(w.shape[2...]))
    let taps = offsets(windows)
    let perGroup = w.shape[0] / groups
    return Grid([x.shape[0], w.shape[0]] + windows.map { $0[5] }) { index in
      var sum = optional(2)?.values[index[1]] ?? 0
      let first = index[1] / perGroup * w.shape[1]
      for tap in taps {
        let place = tap.indices.map {
          index[$0 + 2] * windows[$0][1] + tap[$0] * windows[$0][2] - windows[$0][3]
        }
        guard zip(place, x.shape[2...]).allSatisfy({ $0 >= 0 && $0 < $1 }) else { continue }
        for channel in 0..<w.shape[1] {
          sum += x[[index[0], first + channel] + place] * w[[index[1], channel] + tap]
        }
      }
      return sum
    }
  }

  private func pooling() -> Grid {
    let x = input(0)
    let spatial = Array(x.shape[2...])
    let isGlobal = node.operation.hasPrefix("Global")
    let windows = windows(spatial, isGlobal ? spatial : ints("kernel_shape") ?? [])
    let taps = offsets(windows)
    return Grid(Array(x.shape[..<2]) + windows.map { $0[5] }) { index in
      var (largest, sum, count) = (-Double.infinity, 0.0, 0.0)
      for tap in taps {
        let place = tap.indices.map {
          index[$0 + 2] * windows[$0][1] + tap[$0] * windows[$0][2] - windows[$0][3]
        }
        let isInside = zip(place, spatial).allSatisfy { $0 >= 0 && $0 < $1 }
        let isPadding = place.indices.allSatisfy { place[$0] < spatial[$0] + windows[$0][4] }
        if isInside {
          let value = x[Array(index[..<2]) + place]
          (largest, sum) = (max(largest, value), sum + value)
        }
        if isInside || isPadding && int("count_include_pad", 0) == 1 { count += 1 }
      }
      return node.operation.hasSuffix("MaxPool") ? largest : sum / count
    }
  }

  private func gemm() -> Grid {
    let (a, b) = (input(0), input(1))
    let (ta, tb) = (int("transA", 0) == 1, int("transB", 0) == 1)
    let (m, k) = ta ? (a.shape[1], a.shape[0]) : (a.shape[0], a.shape[1])
    return Grid([m, tb ? b.shape[0] : b.shape[1]]) { index in
      var sum = 0.0
      for i in 0..<k {
        sum += a[ta ? [i, index[0]] : [index[0], i]] * b[tb ? [index[1], i] : [i, index[1]]]
      }
      return float("alpha", 1) * sum + float("beta", 1) * (optional(2)?.broadcast(index) ?? 0)
    }
  }

  private func product(_ a: Grid, _ b: Grid) -> Grid {
    let left = a.shape.count == 1 ? Grid([1] + a.shape, a.values) : a
    let right = b.shape.count == 1 ? Grid(b.shape + [1], b.values) : b
    let batch = Grid.broadcastShape([Array(left.shape.dropLast(2)), Array(right.shape.dropLast(2))])
    let (m, k, n) = (
      left.shape[left.shape.count - 2], left.shape[left.shape.count - 1],
      right.shape[right.shape.count - 1]
    )
    func place(_ grid: Grid, _ index: [Int], _ row: Int, _ column: Int) -> [Int] {
      let own = index.suffix(grid.shape.count - 2)
      return zip(own, grid.shape).map { $1 == 1 ? 0 : $0 } + [row, column]
    }
    let full = Grid(batch + [m, n]) { index in
      let stack = Array(index.dropLast(2))
      return (0..<k).reduce(0.0) { sum, i in
        sum + left[place(left, stack, index[index.count - 2], i)]
          * right[place(right, stack, i, index[index.count - 1])]
      }
    }
    var shape = batch
    if a.shape.count > 1 { shape.append(m) }
    if b.shape.count > 1 { shape.append(n) }
    return Grid(shape, full.values)
  }

  private func softmax() -> Grid {
    let x = input(0)
    let axis = axis(int("axis", opset < 13 ? 1 : -1), x.shape.count)
    let axes = opset < 13 ? Array(axis..<x.shape.count) : [axis]
    func key(_ index: [Int]) -> [Int] { index.indices.map { axes.contains($0) ? 0 : index[$0] } }
    var largest: [[Int]: Double] = [:]
    var sums: [[Int]: Double] = [:]
    for flat in x.values.indices {
      largest[key(Grid.unflatten(flat, x.shape)), default: -.infinity].formMaximum(x.values[flat])
    }
    for flat in x.values.indices {
      let key = key(Grid.unflatten(flat, x.shape))
      sums[key, default: 0] += exp(x.values[flat] - largest[key, default: 0])
    }
    return Grid(x.shape) { index in
      let key = key(index)
      let shifted = x[index] - largest[key, default: 0]
      return node.operation == "Softmax"
        ? exp(shifted) / sums[key, default: 1] : shifted - log(sums[key, default: 1])
    }
  }

  private func reduction() -> Grid {
    let x = input(0)
    let given = ints("axes") ?? integers(1) ?? []
    let axes = given.isEmpty ? Array(x.shape.indices) : given.map { axis($0, x.shape.count) }
    if given.isEmpty && int("noop_with_empty_axes", 0) == 1 { return x }
    var groups: [[Int]: [Double]] = [:]
    for flat in x.values.indices {
      let index = Grid.unflatten(flat, x.shape)
      groups[index.indices.map { axes.contains($0) ? 0 : index[$0] }, default: []].append(
        x.values[flat])
    }
    let kept = Grid(x.shape.indices.map { axes.contains($0) ? 1 : x.shape[$0] }) { index in
      let part = groups[index, default: []]
      switch node.operation {
      case "ReduceSum": return part.reduce(0, +)
      case "ReduceMean": return part.reduce(0, +) / Double(part.count)
      case "ReduceProd": return part.reduce(1, *)
      case "ReduceMax": return part.max() ?? 0
      default: return part.min() ?? 0
      }
    }
    if int("keepdims", 1) == 1 { return kept }
    return Grid(
      x.shape.indices.filter { !axes.contains($0) }.map { x.shape[$0] }, kept.values)
  }
}

extension Double {
  fileprivate mutating func formMaximum(_ other: Double) { self = max(self, other) }
}
