// Codecs over zlib, libpng and libjpeg for callers that cannot unwind a longjmp.
//
// Every function is a pure function of its arguments: no state, no output on stderr, no abort;
// errors come back as a status. Memory for results is the caller's, so sizes are asked for first
// (codec_png_header, codec_jpeg_header) and checked before anything is allocated. The one
// exception, codec_png_encode, says so.

#ifndef COALITION_CODECS_H
#define COALITION_CODECS_H

#include <stddef.h>
#include <stdint.h>

typedef enum codec_status {
  CODEC_OK = 0,
  CODEC_BROKEN = 1,      // not what the format allows
  CODEC_TRUNCATED = 2,   // the input ends too early
  CODEC_FULL = 3,        // there is more output than room
  CODEC_MEMORY = 4,      // an allocation failed or would pass the limit
  CODEC_COLORS = 5,      // CMYK or YCCK: there is no one conversion to RGB
  CODEC_TRANSPARENT = 6, // pixels that are not opaque: there is no background to put them on
  CODEC_ARITHMETIC = 7,  // arithmetic coding: no size of a file bounds what is in it
} codec_status;

typedef enum codec_wrapping {
  CODEC_RAW_DEFLATE,
  CODEC_ZLIB,
  CODEC_GZIP, // any number of members, one after the other; zero bytes may follow the last
} codec_wrapping;

// Decompresses in[in_count] into out[capacity]. *count is the number of bytes written, also when
// the status is CODEC_FULL: then out holds the beginning. Bytes after the end of the data are
// CODEC_BROKEN.
codec_status codec_inflate(uint8_t *out, size_t capacity, size_t *count, const uint8_t *in,
                           size_t in_count, codec_wrapping wrapping);

// CRC-32 (the polynomial of zip, gzip and PNG) of in[count], continued from `crc` (0 to begin).
uint32_t codec_crc32(uint32_t crc, const uint8_t *in, size_t count);

// Takes `count` blocks of 64 bytes into a running SHA-256. `portable` keeps to plain C on
// processors that have instructions for it.
void codec_sha256(uint32_t state[8], const uint8_t *blocks, size_t count, int portable);

// What an image decodes to: height x width pixels of `channels` interleaved bytes (1 gray, 3 RGB).
// `work_channels` is what the decoder needs room for: one more where the file has an alpha channel.
// `least_bytes` is what a file with such an image takes at least, as far as the header tells.
typedef struct codec_image {
  size_t width, height, channels, work_channels, least_bytes;
} codec_image;

// PNG of any colour type and depth; 16-bit samples are scaled to 8, palettes expanded, gamma and
// colour profiles ignored. An alpha channel (or tRNS) is dropped where every pixel is opaque and
// refused otherwise.
codec_status codec_png_header(codec_image *image, const uint8_t *in, size_t in_count);
// pixels[height * width * work_channels]; the first height * width * channels bytes are the result.
codec_status codec_png_decode(uint8_t *pixels, const codec_image *image, const uint8_t *in,
                              size_t in_count);

// Baseline and progressive JPEG with Huffman codes, gray or three colours, to gray or RGB.
// Orientation tags are ignored.
codec_status codec_jpeg_header(codec_image *image, const uint8_t *in, size_t in_count);
// `memory` bounds what the decoder may hold beside pixels[height * width * channels].
codec_status codec_jpeg_decode(uint8_t *pixels, const codec_image *image, const uint8_t *in,
                               size_t in_count, size_t memory);

// Encodes pixels[height * width * channels], 1 (gray), 3 (RGB) or 4 (RGBA) channels, as 8-bit PNG.
// *out is allocated with malloc; give it to codec_free. The same pixels give the same bytes.
codec_status codec_png_encode(uint8_t **out, size_t *count, const uint8_t *pixels, size_t width,
                              size_t height, size_t channels);
void codec_free(uint8_t *allocated);

#endif
