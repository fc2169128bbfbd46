#include "demo_data.h"

// #embed is C23; clang has it in every language mode and says so unless told not to.
#pragma clang diagnostic ignored "-Wc23-extensions"

const unsigned char demo_digits_model[] = {
#embed "data/digits.onnx"
};
const size_t demo_digits_model_size = sizeof demo_digits_model;

const unsigned char demo_digits_images[] = {
#embed "data/digits-images.idx.gz"
};
const size_t demo_digits_images_size = sizeof demo_digits_images;

const unsigned char demo_digits_labels[] = {
#embed "data/digits-labels.idx.gz"
};
const size_t demo_digits_labels_size = sizeof demo_digits_labels;
