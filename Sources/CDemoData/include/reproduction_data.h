// The data of `coalition reproduce grad`, embedded in the program: four networks and 100 images.
//
// Promises the exact bytes of the files in Tests/CoalitionExplainTests/Fixtures (see the README.md
// there for their origin), so that the experiment needs no file. Models are ONNX; the images are
// an npz archive.

#ifndef COALITION_REPRODUCTION_DATA_H
#define COALITION_REPRODUCTION_DATA_H

#include <stddef.h>

#pragma clang assume_nonnull begin

extern const unsigned char *const reproduction_mlp_relu;
extern const size_t reproduction_mlp_relu_size;

extern const unsigned char *const reproduction_mlp_tanh;
extern const size_t reproduction_mlp_tanh_size;

extern const unsigned char *const reproduction_mlp_sigmoid;
extern const size_t reproduction_mlp_sigmoid_size;

extern const unsigned char *const reproduction_mlp_softplus;
extern const size_t reproduction_mlp_softplus_size;

extern const unsigned char *const reproduction_images;
extern const size_t reproduction_images_size;

#pragma clang assume_nonnull end

#endif
