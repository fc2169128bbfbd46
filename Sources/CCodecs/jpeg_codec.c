// JPEG in (libjpeg). Errors leave libjpeg by longjmp and end in this file.
//
// libjpeg repairs broken data with a warning, which would turn half a photograph into gray.
// Warnings that mean lost pixels are errors here; those about stray bytes between markers and the
// like are not.

#include "codecs.h"
#include <stdio.h> // jpeglib.h needs size_t and FILE

#include <jerror.h>
#include <jpeglib.h>
#include <limits.h>
#include <setjmp.h>
#include <string.h>

// A progressive file may repeat passes over a large image at a few bytes each; real ones have about
// ten.
enum { most_scans = 200 };

struct decoder {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  jmp_buf escape;
  codec_status status;
};

static void fail(j_common_ptr jpeg) {
  struct decoder *decoder = jpeg->client_data;
  switch (jpeg->err->msg_code) {
  case JWRN_JPEG_EOF:
  case JERR_INPUT_EMPTY:
  case JERR_INPUT_EOF: decoder->status = CODEC_TRUNCATED; break;
  case JERR_OUT_OF_MEMORY:
  case JERR_NO_BACKING_STORE: decoder->status = CODEC_MEMORY; break;
  default: decoder->status = CODEC_BROKEN;
  }
  longjmp(decoder->escape, 1);
}

static void warn(j_common_ptr jpeg, int level) {
  if (level >= 0) return; // traces
  switch (jpeg->err->msg_code) {
  case JWRN_EXTRANEOUS_DATA:
  case JWRN_ADOBE_XFORM:
  case JWRN_JFIF_MAJOR:
  case JWRN_NOT_SEQUENTIAL: return;
  default: fail(jpeg);
  }
}

static void say_nothing(j_common_ptr jpeg) { (void)jpeg; }

static void watch_scans(j_common_ptr jpeg) {
  struct decoder *decoder = jpeg->client_data;
  if (decoder->jpeg.input_scan_number > most_scans) {
    decoder->status = CODEC_BROKEN;
    longjmp(decoder->escape, 1);
  }
}

// Reads the header. After CODEC_OK or an error alike jpeg_destroy_decompress is due.
static void start(struct decoder *decoder, const uint8_t *in, size_t in_count) {
  jpeg_create_decompress(&decoder->jpeg);
  decoder->jpeg.client_data = decoder;
  decoder->progress.progress_monitor = watch_scans;
  decoder->jpeg.progress = &decoder->progress;
  jpeg_mem_src(&decoder->jpeg, in, in_count);
  jpeg_read_header(&decoder->jpeg, TRUE);
}

static void prepare(struct decoder *decoder) {
  memset(decoder, 0, sizeof *decoder);
  decoder->jpeg.err = jpeg_std_error(&decoder->errors);
  decoder->jpeg.client_data = decoder;
  decoder->errors.error_exit = fail;
  decoder->errors.emit_message = warn;
  decoder->errors.output_message = say_nothing;
}

static codec_status describe(codec_image *image, const struct jpeg_decompress_struct *jpeg) {
  image->width = jpeg->image_width;
  image->height = jpeg->image_height;
  switch (jpeg->jpeg_color_space) {
  case JCS_GRAYSCALE: image->channels = 1; break;
  case JCS_RGB:
  case JCS_YCbCr: image->channels = 3; break;
  default: return CODEC_COLORS;
  }
  image->work_channels = image->channels;
  // Every block of 8x8 coefficients has a code for its mean, which takes a bit at least.
  if (jpeg->arith_code) return CODEC_ARITHMETIC;
  size_t blocks = 0;
  for (int index = 0; index < jpeg->num_components; index++) {
    const jpeg_component_info *component = &jpeg->comp_info[index];
    blocks += (size_t)component->width_in_blocks * component->height_in_blocks;
  }
  image->least_bytes = blocks / 8;
  return CODEC_OK;
}

codec_status codec_jpeg_header(codec_image *image, const uint8_t *in, size_t in_count) {
  struct decoder decoder;
  prepare(&decoder);
  if (setjmp(decoder.escape) == 0) {
    start(&decoder, in, in_count);
    decoder.status = describe(image, &decoder.jpeg);
  }
  jpeg_destroy_decompress(&decoder.jpeg);
  return decoder.status;
}

codec_status codec_jpeg_decode(uint8_t *pixels, const codec_image *image, const uint8_t *in,
                               size_t in_count, size_t memory) {
  struct decoder decoder;
  prepare(&decoder);
  if (setjmp(decoder.escape) == 0) {
    start(&decoder, in, in_count);
    struct jpeg_decompress_struct *jpeg = &decoder.jpeg;
    jpeg->mem->max_memory_to_use = memory > LONG_MAX ? LONG_MAX : (long)memory;
    jpeg->out_color_space = image->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(jpeg);
    if (jpeg->output_width != image->width || jpeg->output_height != image->height ||
        (size_t)jpeg->output_components != image->channels) {
      decoder.status = CODEC_BROKEN;
      longjmp(decoder.escape, 1);
    }
    while (jpeg->output_scanline < jpeg->output_height) {
      JSAMPROW row = pixels + (size_t)jpeg->output_scanline * image->width * image->channels;
      jpeg_read_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_decompress(jpeg);
  }
  jpeg_destroy_decompress(&decoder.jpeg);
  return decoder.status;
}
