// Quadratures on [0, 1]: their weights, their order, and what they integrate exactly.

import CoalitionExplain
import Testing

@Suite struct QuadratureTests {
  @Test(arguments: Quadrature.allCases)
  func weightsAddUpToOneAndNodesAscend(quadrature: Quadrature) {
    for count in 1...300 {
      let nodes = quadrature.nodes(count)
      #expect(nodes.count == count)
      #expect(abs(nodes.reduce(0) { $0 + $1.weight } - 1) <= 4e-15 * Double(max(count, 16)))
      #expect(nodes.allSatisfy { $0.weight > 0 && $0.place > 0 && $0.place <= 1 })
      #expect(zip(nodes, nodes.dropFirst()).allSatisfy { $0.place < $1.place }, "\(count)")
    }
  }

  @Test func gaussIsExactForPolynomialsOfDegreeTwoNMinusOne() {
    for count in 1...128 {
      let nodes = Quadrature.gauss.nodes(count)
      for degree in 0..<2 * count {
        let sum = nodes.reduce(0) { total, node in
          var power = 1.0
          for _ in 0..<degree { power *= node.place }
          return total + node.weight * power
        }
        let integral = 1 / Double(degree + 1)
        // Rounding of the powers: degree times the last digit of each.
        #expect(abs(sum - integral) <= 4e-14, "\(count) nodes, degree \(degree): \(sum - integral)")
      }
    }
  }

  @Test func gaussIsNotExactBeyond() {
    for count in 1...6 {
      let sum = Quadrature.gauss.nodes(count).reduce(0) { total, node in
        total + node.weight * (0..<2 * count).reduce(1.0) { power, _ in power * node.place }
      }
      #expect(abs(sum - 1 / Double(2 * count + 1)) > 1e-9)
    }
  }

  @Test func gaussIsSymmetricAndKnown() {
    let two = Quadrature.gauss.nodes(2)
    let offset = 0.5 / 3.0.squareRoot()
    #expect(abs(two[0].place - (0.5 - offset)) <= 1e-16)
    #expect(abs(two[1].place - (0.5 + offset)) <= 1.2e-16)
    let three = Quadrature.gauss.nodes(3)
    #expect(three[1].place == 0.5)
    #expect(abs(three[1].weight - 4.0 / 9) <= 1e-16)
    #expect(abs(three[0].weight - 5.0 / 18) <= 2e-16)
    for count in [1, 5, 50, 127, 128, 500] {
      let nodes = Quadrature.gauss.nodes(count)
      for (node, mirror) in zip(nodes, nodes.reversed()) {
        #expect(abs(node.place + mirror.place - 1) <= 1.2e-16)
        #expect(node.weight == mirror.weight)
      }
    }
  }

  @Test func theOthersAreWhatTheyAreCalled() {
    #expect(Quadrature.right.nodes(4).map(\.place) == [0.25, 0.5, 0.75, 1])
    #expect(Quadrature.midpoint.nodes(4).map(\.place) == [0.125, 0.375, 0.625, 0.875])
    #expect(Quadrature.midpoint.nodes(4).allSatisfy { $0.weight == 0.25 })
  }
}
