// Which elements of its input a convolution or dense layer multiplies by its weights, position by position.

package import CoalitionBase

/// What each output position of a layer reads: `size` elements per group of channels, in the order of the weight behind
/// its axis of units.
package struct LayerPatches: Sendable {
  /// Output positions of one example.
  package let positions: Int
  package let groups: Int
  /// Incoming weights of a unit.
  package let size: Int
  private let geometry: ConvolutionGeometry

  private init(_ geometry: ConvolutionGeometry) {
    self.geometry = geometry
    positions = geometry.images * geometry.vertical.outputSize * geometry.horizontal.outputSize
    groups = geometry.groups
    size = geometry.inChannels * geometry.vertical.kernel * geometry.horizontal.kernel
  }

  /// Of a matrix of `rows` rows that is multiplied by weights on its right.
  package init(rows: Int, inputs: Int) {
    self.init(ConvolutionGeometry(rows: rows, inputs: inputs, outputs: 1))
  }

  /// Of a node: nil when it is no convolution of one image.
  package init?(_ analysis: Analysis, node index: Int) throws(CoalitionError) {
    guard let convolution = analysis.operators[index] as? Convolution else { return nil }
    let geometry = try convolution.geometry(analysis.inputs(of: analysis.graph.nodes[index]))
    guard geometry.images == 1 else { return nil }
    self.init(geometry)
  }

  /// Per weight the element of one example's input that it meets at a position; nil on the padding.
  package func elements(position: Int, group: Int) -> [Int?] {
    let (vertical, horizontal) = (geometry.vertical, geometry.horizontal)
    let plane = vertical.outputSize * horizontal.outputSize
    let image = position / plane
    let top = position % plane / horizontal.outputSize * vertical.stride - vertical.padBegin
    let left = position % horizontal.outputSize * horizontal.stride - horizontal.padBegin
    var elements: [Int?] = []
    elements.reserveCapacity(size)
    for channel in 0..<geometry.inChannels {
      let channels = geometry.groups * geometry.inChannels
      let map = (image * channels + group * geometry.inChannels + channel) * vertical.size
      for i in 0..<vertical.kernel {
        let y = top + i * vertical.dilation
        for j in 0..<horizontal.kernel {
          let x = left + j * horizontal.dilation
          let isInside = (0..<vertical.size).contains(y) && (0..<horizontal.size).contains(x)
          elements.append(isInside ? (map + y) * horizontal.size + x : nil)
        }
      }
    }
    return elements
  }
}
