// one_target.h: a template for one instruction set, in single and in double precision.

#define real float
#define LN_SUFFIX f32
#define LN_SINGLE 1
#define LN_WIDTH (LN_VECTOR_BYTES / 4)
#define LN__BITS int32_t
#include "vector.h"
#include "operands.h"
#include LN_TEMPLATE
#undef real
#undef LN_SUFFIX
#undef LN_SINGLE
#undef LN_WIDTH
#undef LN__BITS

#define real double
#define LN_SUFFIX f64
#define LN_SINGLE 0
#define LN_WIDTH (LN_VECTOR_BYTES / 8)
#define LN__BITS int64_t
#include "vector.h"
#include "operands.h"
#include LN_TEMPLATE
#undef real
#undef LN_SUFFIX
#undef LN_SINGLE
#undef LN_WIDTH
#undef LN__BITS
