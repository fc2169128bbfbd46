// PNG in and out (libpng). Errors leave libpng by longjmp and end in this file.

#include "codecs.h"
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

// MARK: - Reading from memory

struct input {
  const uint8_t *bytes;
  size_t count, position;
  int truncated;
};

static void fail(png_structp png, png_const_charp message) {
  (void)message;
  png_longjmp(png, 1);
}

static void ignore(png_structp png, png_const_charp message) {
  (void)png;
  (void)message;
}

static void read_bytes(png_structp png, png_bytep out, size_t count) {
  struct input *input = png_get_io_ptr(png);
  if (count > input->count - input->position) {
    input->truncated = 1;
    png_error(png, "truncated");
  }
  memcpy(out, input->bytes + input->position, count);
  input->position += count;
}

static png_structp reader(struct input *input) {
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, fail, ignore);
  if (!png) return NULL;
  png_set_read_fn(png, input, read_bytes);
  // Sizes are the caller's decision, and text and colour profiles, which may be compressed, are
  // skipped.
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  static const png_byte skipped[] = "iCCP\0zTXt\0iTXt\0tEXt\0sPLT\0eXIf";
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, skipped, 6);
  return png;
}

// The alpha channel counts in work_channels only.
static void describe(codec_image *image, png_structp png, png_infop info) {
  const int type = png_get_color_type(png, info);
  const int alpha = (type & PNG_COLOR_MASK_ALPHA) || png_get_valid(png, info, PNG_INFO_tRNS);
  image->width = png_get_image_width(png, info);
  image->height = png_get_image_height(png, info);
  image->channels = type & PNG_COLOR_MASK_COLOR ? 3 : 1;
  image->work_channels = image->channels + (alpha ? 1 : 0);
  // Deflate makes at most 1032 bytes of one, each with 8 pixels at most.
  image->least_bytes = image->width * image->height / (8 * 1032);
}

codec_status codec_png_header(codec_image *image, const uint8_t *in, size_t in_count) {
  struct input input = {in, in_count, 0, 0};
  png_structp png = reader(&input);
  if (!png) return CODEC_MEMORY;
  png_infop info = png_create_info_struct(png);
  if (!info) {
    png_destroy_read_struct(&png, NULL, NULL);
    return CODEC_MEMORY;
  }
  if (setjmp(png_jmpbuf(png))) {
    png_destroy_read_struct(&png, &info, NULL);
    return input.truncated ? CODEC_TRUNCATED : CODEC_BROKEN;
  }
  png_read_info(png, info);
  describe(image, png, info);
  png_destroy_read_struct(&png, &info, NULL);
  return CODEC_OK;
}

// Squeezes the alpha channel out in place: pixels[count][channels + 1] -> [count][channels].
static codec_status drop_opaque_alpha(uint8_t *pixels, size_t count, size_t channels) {
  for (size_t i = 0; i < count; i++)
    if (pixels[i * (channels + 1) + channels] != 255) return CODEC_TRANSPARENT;
  for (size_t i = 0; i < count; i++)
    memmove(pixels + i * channels, pixels + i * (channels + 1), channels);
  return CODEC_OK;
}

codec_status codec_png_decode(uint8_t *pixels, const codec_image *image, const uint8_t *in,
                              size_t in_count) {
  struct input input = {in, in_count, 0, 0};
  png_structp png = reader(&input);
  if (!png) return CODEC_MEMORY;
  png_infop info = png_create_info_struct(png);
  if (!info) {
    png_destroy_read_struct(&png, NULL, NULL);
    return CODEC_MEMORY;
  }
  if (setjmp(png_jmpbuf(png))) {
    png_destroy_read_struct(&png, &info, NULL);
    return input.truncated ? CODEC_TRUNCATED : CODEC_BROKEN;
  }
  png_read_info(png, info);
  png_set_expand(png); // palettes to RGB, fewer than 8 bits to 8, tRNS to alpha
  png_set_scale_16(png);
  const int passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  const size_t stride = image->width * image->work_channels;
  if (png_get_image_height(png, info) != image->height || png_get_rowbytes(png, info) != stride)
    png_error(png, "not the image of the header");
  // A pass of an interlaced image adds its pixels to those of the passes before.
  for (int pass = 0; pass < passes; pass++)
    for (size_t y = 0; y < image->height; y++) png_read_row(png, pixels + y * stride, NULL);
  png_read_end(png, NULL);
  png_destroy_read_struct(&png, &info, NULL);
  return image->work_channels == image->channels
             ? CODEC_OK
             : drop_opaque_alpha(pixels, image->width * image->height, image->channels);
}

// MARK: - Writing to memory

struct output {
  uint8_t *bytes;
  size_t count, capacity;
};

static void write_bytes(png_structp png, png_bytep in, size_t count) {
  struct output *output = png_get_io_ptr(png);
  if (count > output->capacity - output->count) {
    const size_t capacity = (output->count + count) * 2;
    uint8_t *bytes = realloc(output->bytes, capacity);
    if (!bytes) png_error(png, "out of memory");
    output->bytes = bytes;
    output->capacity = capacity;
  }
  memcpy(output->bytes + output->count, in, count);
  output->count += count;
}

static void flush_bytes(png_structp png) { (void)png; }

codec_status codec_png_encode(uint8_t **out, size_t *count, const uint8_t *pixels, size_t width,
                              size_t height, size_t channels) {
  *out = NULL;
  *count = 0;
  const int type = channels == 1   ? PNG_COLOR_TYPE_GRAY
                   : channels == 3 ? PNG_COLOR_TYPE_RGB
                   : channels == 4 ? PNG_COLOR_TYPE_RGB_ALPHA
                                   : -1;
  if (type < 0 || width == 0 || height == 0 || width > 1000000 || height > 1000000)
    return CODEC_BROKEN;
  struct output output = {NULL, 0, 0};
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, fail, ignore);
  if (!png) return CODEC_MEMORY;
  png_infop info = png_create_info_struct(png);
  if (!info || setjmp(png_jmpbuf(png))) {
    png_destroy_write_struct(&png, info ? &info : NULL);
    free(output.bytes);
    return CODEC_MEMORY;
  }
  png_set_write_fn(png, &output, write_bytes, flush_bytes);
  png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, 8, type, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for (size_t y = 0; y < height; y++) png_write_row(png, pixels + y * width * channels);
  png_write_end(png, NULL);
  png_destroy_write_struct(&png, &info);
  *out = output.bytes;
  *count = output.count;
  return CODEC_OK;
}

void codec_free(uint8_t *allocated) { free(allocated); }
