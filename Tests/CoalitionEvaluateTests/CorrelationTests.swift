// Correlation, against values worked by hand.

import Testing

@testable import CoalitionBase

@Suite struct CorrelationTests {
  @Test("Pearson's correlation of values worked by hand")
  func pearson() {
    // x = 1 2 3 4 5, y = 2 1 4 3 5: sxy = 8, sxx = syy = 10.
    #expect(abs(Correlation.pearson([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]) - 0.8) < 1e-15)
    // x = 0 1 3, y = 1 0 5: means 4/3, 2; sxy = 4/3 + 2/3 + 5 = 7, sxx = 14/3, syy = 14.
    let expected = 7 / (14.0 / 3 * 14).squareRoot()
    #expect(abs(Correlation.pearson([0, 1, 3], [1, 0, 5]) - expected) < 1e-15)
    #expect(Correlation.pearson([1, 2, 3], [-2, -4, -6]) == -1)
  }

  @Test("A positive affine change of one side leaves Pearson's correlation, at any scale")
  func affine() {
    let x = [0.3, -1.2, 2.5, 0.9], y = [1.0, -0.4, 0.2, 0.8]
    let base = Correlation.pearson(x, y)
    for scale in [1e-200, 1e-9, 7, 1e200] {
      #expect(abs(Correlation.pearson(x.map { $0 * scale }, y) - base) < 1e-12)
      #expect(abs(Correlation.pearson(x.map { -$0 * scale }, y) + base) < 1e-12)
    }
  }

  @Test("What is not defined is NaN, never 0")
  func undefined() {
    #expect(Correlation.pearson([2, 2, 2], [1, 2, 3]).isNaN)
    // 0.1 added ten times and divided by ten is not 0.1: equal numbers must still count as constant.
    #expect(
      Correlation.pearson([Double](repeating: 0.1, count: 10), (0..<10).map(Double.init)).isNaN)
    #expect(Correlation.pearson([1, 2, 3], [5, 5, 5]).isNaN)
    #expect(Correlation.pearson([1], [1]).isNaN)
    #expect(Correlation.pearson([1, .nan, 3], [1, 2, 3]).isNaN)
    #expect(Correlation.spearman([1, .nan, 3], [1, 2, 3]).isNaN)
    #expect(Correlation.spearman([4, 4, 4], [1, 2, 3]).isNaN)
    #expect(Correlation.rmse([Double](), [Double]()).isNaN)
  }

  @Test("Ranks of equal numbers are shared")
  func ranks() {
    #expect(Correlation.ranks([10, 20, 10, 5]) == [2.5, 4, 2.5, 1])
    // Ranks 1 2.5 2.5 4 and 1 3 2 4: sxy = 4.5, sxx = 4.5, syy = 5.
    let expected = 4.5 / (4.5 * 5.0).squareRoot()
    #expect(abs(Correlation.spearman([0, 1, 1, 9], [0, 2, 1, 3]) - expected) < 1e-15)
    #expect(Correlation.spearman([1, 10, 100], [-1, 0, 1e9]) == 1)
  }

  @Test("The root mean squared difference")
  func rmse() {
    #expect(Correlation.rmse([1, 2, 3], [1, 2, 3]) == 0)
    #expect(abs(Correlation.rmse([0, 0], [3, 4]) - 12.5.squareRoot()) < 1e-15)
    #expect(Correlation.rmse([.nan, 0], [1, 0]).isNaN)
  }
}
