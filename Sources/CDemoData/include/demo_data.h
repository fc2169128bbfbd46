// The demonstration's data, embedded in the program: a trained digits network and 100 test images.
//
// Promises the exact bytes of the files in ../data (see its README.md for their origin), so that
// the command needs no file beside itself. The model is ONNX; images and labels are gzipped IDX.
// Pointers, not arrays: Swift cannot import an array of unknown length.

#ifndef COALITION_DEMO_DATA_H
#define COALITION_DEMO_DATA_H

#include <stddef.h>

#pragma clang assume_nonnull begin

extern const unsigned char *const demo_digits_model;
extern const size_t demo_digits_model_size;

extern const unsigned char *const demo_digits_images;
extern const size_t demo_digits_images_size;

extern const unsigned char *const demo_digits_labels;
extern const size_t demo_digits_labels_size;

#pragma clang assume_nonnull end

#endif
