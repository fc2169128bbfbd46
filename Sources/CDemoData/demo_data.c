#include "demo_data.h"

// #embed is C23; clang has it in every language mode and says so unless told not to.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char model[] = {
#embed "data/digits.onnx"
};
static const unsigned char images[] = {
#embed "data/digits-images.idx.gz"
};
static const unsigned char labels[] = {
#embed "data/digits-labels.idx.gz"
};

const unsigned char *const demo_digits_model = model;
const size_t demo_digits_model_size = sizeof model;

const unsigned char *const demo_digits_images = images;
const size_t demo_digits_images_size = sizeof images;

const unsigned char *const demo_digits_labels = labels;
const size_t demo_digits_labels_size = sizeof labels;
