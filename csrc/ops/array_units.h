// array_units.h: units of work of families for which positions and lanes are one array.

#ifndef LN__ARRAY_UNITS_H
#define LN__ARRAY_UNITS_H

#include <stddef.h>
#include <stdint.h>

// Elements of one unit of work: whole vectors for all targets.
enum { LN__UNIT = 2048 };

static inline size_t ln__array_units(int64_t positions, int lanes) {
  return ((size_t)positions * (size_t)lanes + LN__UNIT - 1) / LN__UNIT;
}

#endif
