#include "reproduction_data.h"

// The networks and images are those of the explanation tests: one copy serves both.
#pragma clang diagnostic ignored "-Wc23-extensions"

static const unsigned char relu[] = {
#embed "../../Tests/CoalitionExplainTests/Fixtures/mlp-relu.onnx"
};
static const unsigned char tanh_model[] = {
#embed "../../Tests/CoalitionExplainTests/Fixtures/mlp-tanh.onnx"
};
static const unsigned char sigmoid[] = {
#embed "../../Tests/CoalitionExplainTests/Fixtures/mlp-sigmoid.onnx"
};
static const unsigned char softplus[] = {
#embed "../../Tests/CoalitionExplainTests/Fixtures/mlp-softplus.onnx"
};
static const unsigned char images[] = {
#embed "../../Tests/CoalitionExplainTests/Fixtures/mnist-images.npz"
};

const unsigned char *const reproduction_mlp_relu = relu;
const size_t reproduction_mlp_relu_size = sizeof relu;

const unsigned char *const reproduction_mlp_tanh = tanh_model;
const size_t reproduction_mlp_tanh_size = sizeof tanh_model;

const unsigned char *const reproduction_mlp_sigmoid = sigmoid;
const size_t reproduction_mlp_sigmoid_size = sizeof sigmoid;

const unsigned char *const reproduction_mlp_softplus = softplus;
const size_t reproduction_mlp_softplus_size = sizeof softplus;

const unsigned char *const reproduction_images = images;
const size_t reproduction_images_size = sizeof images;
