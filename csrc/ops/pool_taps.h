// pool_taps.h: which taps of a pooling window lie on the map. Shared by pooling and its reverse.

#ifndef LN__POOL_TAPS_H
#define LN__POOL_TAPS_H

// Taps of a window along one axis: `first` .. `last` - 1 lie on the map, `counted` of them make the
// divisor.
typedef struct taps {
  int first, last, counted;
} taps;

// `at` is where tap 0 lies, `limit` the first place past the far padding.
static inline taps taps_of(int at, int kernel, int dilation, int size, int limit,
                           int count_padding) {
  taps t;
  t.first = at >= 0 ? 0 : (-at + dilation - 1) / dilation;
  t.last = at + (kernel - 1) * dilation < size ? kernel : (size - at + dilation - 1) / dilation;
  if (t.first > kernel) t.first = kernel;
  if (t.last < t.first) t.last = t.first;
  t.counted = t.last - t.first;
  if (count_padding)
    t.counted =
        at + (kernel - 1) * dilation < limit ? kernel : (limit - at + dilation - 1) / dilation;
  return t;
}

#endif
